#!/usr/bin/env bash
# Finds, or fetches, a Rust compiler that can build guests for wasm32-unknown-unknown.
#
#   eval "$(scripts/wasm-toolchain.sh)"
#
# Standard output carries shell assignments alone (RUSTC, and a linker where one must be named); progress goes to
# standard error. The order: what the machine already has; rustup, unless RUSTUP_AUTO_INSTALL=0 forbids it; Debian's
# packages, unpacked into a private cache folder. The machine's own toolchain is never changed by the last of these,
# root is not needed, and a second run costs milliseconds.
set -euo pipefail

readonly TARGET=wasm32-unknown-unknown
readonly SUITE=trixie
readonly RUST_VERSION=1.85
# Raise the revision whenever the list of packages or the wrapper changes: the folder's name is its version.
readonly REVISION=1
readonly PACKAGES=(
  rustc "libstd-rust-$RUST_VERSION" libstd-rust-dev libstd-rust-dev-wasm32 libllvm19
  libc6 libgcc-s1 libstdc++6 zlib1g libzstd1 libxml2 libffi8 libedit2 libz3-4 libtinfo6
  libbsd0 libmd0 liblzma5 libicu76
)
MIRROR=${PORTCULLIS_DEBIAN_MIRROR:-http://deb.debian.org/debian}
KEYRING=${PORTCULLIS_DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/portcullis

say() { printf 'wasm-toolchain: %s\n' "$*" >&2; }

fail() {
  say "$1"
  shift
  printf '  %s\n' "$@" >&2
  exit 1
}

# A compiler that has the target's standard library.
has_target() {
  local lib
  lib=$("$1" --print target-libdir --target "$TARGET" 2>/dev/null) || return 1
  compgen -G "$lib/libstd-*.rlib" >/dev/null
}

# The linker that is set already, rust-lld of the machine's toolchain, or LLVM's wasm-ld; nothing when none is there.
find_linker() {
  local sysroot host candidate=${CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER:-}
  if [[ -x $candidate ]]; then
    printf '%s' "$candidate"
    return
  fi
  sysroot=$("$1" --print sysroot)
  host=$("$1" -vV | sed -n 's/^host: //p')
  candidate=$sysroot/lib/rustlib/$host/bin/rust-lld
  if [[ -x $candidate ]]; then
    printf '%s' "$candidate"
    return
  fi
  for candidate in rust-lld wasm-ld wasm-ld-{22,21,20,19,18,17,16,15,14}; do
    if command -v "$candidate"; then return; fi
  done
}

# $1: compiler. $2: linker.
announce() {
  printf 'export RUSTC=%q\n' "$1"
  printf 'export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=%q\n' "$2"
}

# Debian's packages for this machine: an architecture, its loader and its library folder.
debian_layout() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) printf 'amd64 usr/lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu' ;;
    Linux-aarch64) printf 'arm64 usr/lib/ld-linux-aarch64.so.1 usr/lib/aarch64-linux-gnu' ;;
    *) return 1 ;;
  esac
}

# Writes an apt configuration of its own into $1: one suite, private folders, none of the system's hooks.
write_apt_config() {
  mkdir -p "$1/lists/partial" "$1/archives/partial" "$1/debs"
  : >"$1/status"
  printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$MIRROR" "$SUITE" >"$1/sources.list"
  cat >"$1/apt.conf" <<CONFIG
#clear APT::Update;
#clear DPkg;
APT::Architecture "$2";
APT::Architectures { "$2"; };
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Update::Error-Mode "any";
Dir::Etc::sourcelist "$1/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache "$1";
Dir::Cache::archives "$1/archives";
CONFIG
}

apt_quietly() {
  local work=$1 log=$1/apt.log
  shift
  if ! apt-get -q -c "$work/apt.conf" "$@" >"$log" 2>&1; then
    tail -n 12 "$log" >&2
    fail "apt-get $1 from $MIRROR failed" \
      "Check the network (http_proxy is respected), or name another mirror: PORTCULLIS_DEBIAN_MIRROR=http://... ."
  fi
}

# The unpacked compiler runs with its own loader and libraries, so the machine's glibc may be older.
write_wrapper() {
  local root=$1 final=$2 loader=$3 libraries=$4
  mkdir -p "$root/bin"
  cat >"$root/bin/rustc" <<WRAPPER
#!/bin/sh
root='$final'
exec "\$root/$loader" --argv0 "\$root/usr/bin/rustc" --library-path "\$root/$libraries" \\
  "\$root/usr/bin/rustc" --sysroot "\$root/usr" "\$@"
WRAPPER
  chmod +x "$root/bin/rustc"
}

# Unpacks aside and renames at the end: a folder that exists is complete.
fetch_debian() {
  local final=$1 architecture=$2 loader=$3 libraries=$4 work deb
  for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || fail "no Rust compiler with the target $TARGET, and no $tool to fetch one with" \
      "With rustup: rustup target add $TARGET" \
      "Otherwise install your system's package for it (Fedora: rust-std-static-$TARGET)."
  done
  [[ -r $KEYRING ]] || fail "Debian's archive keyring is not at $KEYRING" \
    "Install the package debian-archive-keyring, or name the file: PORTCULLIS_DEBIAN_KEYRING=/path/to/keyring.gpg ."
  mkdir -p "$CACHE" || fail "cannot write to $CACHE" "Name another folder: XDG_CACHE_HOME=/path ."

  work=$(mktemp -d "$CACHE/.unpacking-XXXXXX")
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  say "fetching Debian $SUITE's rustc $RUST_VERSION into $final (about 200 MB to download, 800 MB on disk, once)"
  write_apt_config "$work" "$architecture"
  say "1/3 package lists"
  apt_quietly "$work" update
  say "2/3 ${#PACKAGES[@]} packages"
  (cd "$work/debs" && apt_quietly "$work" download "${PACKAGES[@]/%//$SUITE}")
  say "3/3 unpacking"
  mkdir "$work/root"
  for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$work/root"
  done
  rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man"
  write_wrapper "$work/root" "$final" "$loader" "$libraries"
  mv -T "$work/root" "$final" 2>/dev/null || [[ -x $final/bin/rustc ]] || fail "cannot move the toolchain to $final"
}

main() {
  local system_rustc=${RUSTC:-rustc} linker layout architecture loader libraries final
  command -v "$system_rustc" >/dev/null || fail "no Rust compiler: '$system_rustc' is not on the PATH" \
    "Install Rust 1.95 or newer (https://rustup.rs), or set RUSTC."

  linker=$(find_linker "$system_rustc" | tr -d '\n')
  [[ -n $linker ]] || fail "no linker for WebAssembly next to $system_rustc" \
    "Install LLVM's linker (Debian: apt-get install lld) or a rustup toolchain, which carries rust-lld, and run this again."

  if has_target "$system_rustc"; then
    announce "$system_rustc" "$linker"
    return
  fi
  if [[ ${RUSTUP_AUTO_INSTALL:-1} != 0 ]] && command -v rustup >/dev/null; then
    say "rustup target add $TARGET"
    if rustup target add "$TARGET" >&2 && has_target "$system_rustc"; then
      announce "$system_rustc" "$linker"
      return
    fi
    say "rustup could not add the target; trying Debian's packages"
  fi
  layout=$(debian_layout) || fail "no Rust compiler with the target $TARGET, and no packages known for $(uname -sm)" \
    "With rustup: rustup target add $TARGET"
  read -r architecture loader libraries <<<"$layout"
  final=$CACHE/wasm-toolchain-$SUITE-$RUST_VERSION-$architecture-r$REVISION
  [[ -x $final/bin/rustc ]] || fetch_debian "$final" "$architecture" "$loader" "$libraries"
  has_target "$final/bin/rustc" || fail "the compiler in $final does not work" "Remove that folder and run this again."
  announce "$final/bin/rustc" "$linker"
}

main "$@"
