#!/usr/bin/env bash
# Installs the official MCP clients and servers that the black-box tests talk to, and the official conformance suite,
# from lock files, into target/test-clients. A second run costs milliseconds.
#
#   scripts/test-clients.sh                all of them
#   scripts/test-clients.sh conformance    one of them: python (in `venv` and `venv-v1`), node, conformance, or inspector
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly sources=$root/tests/clients
# The folder of the workspace's own target, wherever cargo has been told to put it.
readonly clients=${CARGO_TARGET_DIR:-$root/target}/test-clients
readonly NODE_MAJOR_MIN=20
readonly SUITE_NODE_MAJOR_MIN=22

say() { printf 'test-clients: %s\n' "$*" >&2; }

fail() {
  say "$1"
  shift
  printf '  %s\n' "$@" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || fail "$1 is not installed" "$2"
}

# $1: a stamp; the rest: files. Whether the stamp holds these very files.
up_to_date() {
  local stamp=$1
  shift
  [[ -e $stamp ]] && [[ $(cat "$stamp") == "$(fingerprint "$@")" ]]
}

fingerprint() { cat -- "$@" | sha256sum | cut -d' ' -f1; }

# Two generations of the SDK, each with an environment of its own.
install_python() {
  install_packages "$sources/python/requirements.txt" "$clients/venv"
  install_packages "$sources/python/requirements-v1.txt" "$clients/venv-v1"
}

# $1: a lock; $2: an environment.
install_packages() {
  local lock=$1 venv=$2
  up_to_date "$venv/.installed" "$lock" && [[ -x $venv/bin/python ]] && return
  need python3 "Install Python 3.10 or newer with its module venv (Debian: apt-get install python3-venv)."
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "python3 is older than 3.10" "Install a newer one."
  python3 -c 'import venv, ensurepip' 2>/dev/null || fail "python3 has no module venv" "Debian: apt-get install python3-venv"
  say "installing Python clients into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$lock"
  fingerprint "$lock" >"$venv/.installed"
}

# $1: a Node.
major_of() { "$1" -p 'process.versions.node.split(".")[0]'; }

need_node() {
  need node "Install Node $NODE_MAJOR_MIN or newer (https://nodejs.org)."
  need npm "Install npm, which comes with Node (https://nodejs.org)."
  local major
  major=$(major_of node)
  ((major >= NODE_MAJOR_MIN)) || fail "node is version $major" "Install Node $NODE_MAJOR_MIN or newer."
}

# $1: a folder with package.json and its lock; the rest: further options of npm.
install_modules() { (cd "$1" && npm ci --silent --no-audit --no-fund --ignore-scripts "${@:2}"); }

install_node() {
  local lock=$sources/node/package-lock.json modules=$clients/node
  need_node
  # Scripts find their packages next to themselves, so they are copied there, each time.
  mkdir -p "$modules"
  cp "$sources"/node/*.js "$sources"/node/package*.json "$modules/"
  up_to_date "$modules/.installed" "$lock" && [[ -d $modules/node_modules ]] && return
  say "installing Node clients into $modules"
  install_modules "$modules"
  fingerprint "$lock" >"$modules/.installed"
}

# The suite wants a newer Node than the clients do: it comes with one where npm has it for this machine.
install_conformance() {
  local lock=$sources/conformance/package-lock.json modules=$clients/conformance
  up_to_date "$modules/.installed" "$lock" && [[ -x $modules/node ]] && return
  need_node
  say "installing the conformance suite into $modules"
  mkdir -p "$modules"
  cp "$sources"/conformance/package*.json "$modules/"
  install_modules "$modules"
  ln -sfn node_modules/.bin/node "$modules/node"
  [[ -x $modules/node ]] || ln -sfn "$(command -v node)" "$modules/node"
  (($(major_of "$modules/node") >= SUITE_NODE_MAJOR_MIN)) || fail "the conformance suite finds no Node that is new enough" \
    "Install Node $SUITE_NODE_MAJOR_MIN or newer (https://nodejs.org)."
  fingerprint "$lock" >"$modules/.installed"
}

# The Inspector runs on the suite's Node. What is optional of it is for its web pages and for keychains.
install_inspector() {
  local lock=$sources/inspector/package-lock.json modules=$clients/inspector
  install_conformance
  mkdir -p "$modules"
  cp "$sources"/inspector/*.js "$sources"/inspector/package*.json "$modules/"
  up_to_date "$modules/.installed" "$lock" && [[ -d $modules/node_modules ]] && return
  need_node
  say "installing the Inspector into $modules"
  install_modules "$modules" --omit=optional
  fingerprint "$lock" >"$modules/.installed"
}

mkdir -p "$clients"
(($# > 0)) || set -- python node conformance inspector
for wanted in "$@"; do
  case $wanted in
  python | node | conformance | inspector) "install_$wanted" ;;
  *) fail "there is no $wanted to install" "Name python, node, conformance or inspector, or nothing for all of them." ;;
  esac
done
