#!/usr/bin/env bash
# Finds, or fetches, what the whole-walk benchmark measures with and beside: wrk and nginx.
#
#   scripts/bench-tools.sh
#
# The order: what the machine already has; Debian's packages (or Ubuntu's), unpacked into a private cache folder. Nothing
# is installed, no service is started, root is not needed, and a second run costs milliseconds. What was found is
# linked in target/bench/tools, where portcullis-bench looks for it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly tools=${CARGO_TARGET_DIR:-$root/target}/bench/tools
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/portcullis/bench-tools

say() { printf 'bench-tools: %s\n' "$*" >&2; }

fail() {
  say "$1"
  shift
  printf '  %s\n' "$@" >&2
  exit 1
}

# nginx is kept where only root's PATH looks.
find_tool() { PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1"; }

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

# Downloads the packages and what of their dependencies this machine lacks, and unpacks them.
fetch() {
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # The name is gone by then, its value is not.
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
  say "fetching $* from the machine's package mirror"
  apt_quietly "$work" update || return 1
  apt_quietly "$work" install --yes --download-only --no-install-recommends "$@" || return 1
  for deb in "$work"/cache/archives/*.deb; do
    dpkg-deb --extract "$deb" "$work/root"
  done
  mkdir -p "$cache"
  cp -R "$work/root/." "$cache/"
}

# A program that was unpacked finds the libraries that were unpacked with it.
wrap() {
  local libraries
  libraries=$(find "$cache" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd:)
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$1" >"$2.new"
  chmod +x "$2.new"
  mv "$2.new" "$2"
}

mkdir -p "$tools"
missing=()
for tool in nginx wrk; do
  if found=$(find_tool "$tool"); then
    ln -sfn "$found" "$tools/$tool"
  elif ! compgen -G "$cache/usr/*bin/$tool" >/dev/null; then
    missing+=("$tool")
  fi
done

if ((${#missing[@]} > 0)); then
  command -v apt-get dpkg-deb >/dev/null || fail "${missing[*]} not found, and this is no Debian" \
    "Install nginx (1.18 or newer) and wrk (4.1 or newer), and run this again."
  fetch "${missing[@]}" || fail "${missing[*]} could not be fetched" \
    "Check the network (http_proxy is respected), or: apt-get install ${missing[*]}"
fi

for tool in nginx wrk; do
  find_tool "$tool" >/dev/null && continue
  unpacked=$(compgen -G "$cache/usr/*bin/$tool" | head -n 1) || fail "the package of $tool holds no $tool" "Install it yourself."
  wrap "$unpacked" "$tools/$tool"
done
"$tools/nginx" -v 2>&1 | sed 's/^/bench-tools: /' >&2
say "wrk: $("$tools/wrk" -v 2>&1 | head -n 1 | cut -d' ' -f1-2)"
