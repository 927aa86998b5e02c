#!/usr/bin/env bash
# Builds every policy in plugins/ into a component: target/plugins/<name>.wasm.
#
#   scripts/build-guests.sh
#
# Compilers are incremental on their own; a component is made again only when its core module has changed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly target=wasm32-unknown-unknown
readonly guests=$root/target/guests
readonly components=$root/target/plugins
# The folder of the workspace's own target, wherever cargo has been told to put it.
readonly tool=${CARGO_TARGET_DIR:-$root/target}/debug/portcullis-guest

toolchain=$("$root/scripts/wasm-toolchain.sh")

cargo build --quiet --manifest-path "$root/Cargo.toml" --package portcullis-guest-tool

(
  cd "$root/plugins"
  eval "$toolchain"
  # Flags meant for the host's target (a linker, sanitizers) do not fit a guest.
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
  cargo build --quiet --locked --release --workspace --lib --target "$target" --target-dir "$guests"
)

mkdir -p "$components"
for manifest in "$root"/plugins/*/Cargo.toml; do
  name=$(basename "$(dirname "$manifest")")
  core=$guests/$target/release/${name//-/_}.wasm
  component=$components/$name.wasm
  if [[ ! -e $component || $core -nt $component || $tool -nt $component ]]; then
    "$tool" componentize "$core" --output "$component"
  fi
done
