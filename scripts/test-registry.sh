#!/usr/bin/env bash
# Finds, or fetches, the OCI registry that the black-box tests push components to and pull them from.
#
#   scripts/test-registry.sh
#
# The order: what the machine already has; Debian's package (or Ubuntu's), unpacked into a private cache folder. Nothing is
# installed, no service is started, root is not needed, and a second run costs milliseconds. What was found is linked in
# target/test-clients, where the tests look for it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly package=docker-registry
readonly link=${CARGO_TARGET_DIR:-$root/target}/test-clients/$package
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/portcullis/test-registry
readonly unpacked=$cache/usr/bin/$package

fail() {
  printf 'test-registry: %s\n' "$1" >&2
  shift
  printf '  %s\n' "$@" >&2
  exit 1
}

apt_quietly() {
  local log=$1/apt.log options=(
    -o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1/cache" -o Debug::NoLocking=1
    -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=3 -o Acquire::Languages=none
  )
  shift
  apt-get -q "${options[@]}" "$@" >"$log" 2>&1 || {
    tail -n 12 "$log" >&2
    return 1
  }
}

# Unpacks aside and renames at the end: what is there is whole.
fetch() {
  local work
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.unpacking-XXXXXX")
  # shellcheck disable=SC2064 # The name is gone by then, its value is not.
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
  printf 'test-registry: fetching %s from the machine'"'"'s package mirror\n' "$package" >&2
  apt_quietly "$work" update || return 1
  (cd "$work" && apt_quietly "$work" download "$package") || return 1
  dpkg-deb --extract "$work"/$package*.deb "$work/root"
  mkdir -p "$(dirname "$unpacked")"
  mv "$work/root/usr/bin/$package" "$unpacked"
}

mkdir -p "$(dirname "$link")"
if found=$(command -v "$package"); then
  ln -sfn "$found" "$link"
  exit
fi
if [[ ! -x $unpacked ]]; then
  command -v apt-get dpkg-deb >/dev/null || fail "$package not found, and this is no Debian" \
    "Put the program of the CNCF Distribution (https://distribution.github.io) on the PATH as $package, and run this again."
  fetch || fail "$package could not be fetched" \
    "Check the network (http_proxy is respected), or: apt-get install $package"
fi
ln -sfn "$unpacked" "$link"
