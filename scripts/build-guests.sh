#!/usr/bin/env bash
# Builds every policy in plugins/ into a component: target/plugins/<name>.wasm.
#
#   scripts/build-guests.sh
#
# PORTCULLIS_GUEST names a `portcullis-guest` that is built already, relative to the repository; without it, one is
# built first. Compilers are incremental on their own; a component is made again only when its core module has changed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly target=wasm32-unknown-unknown
readonly guests=$root/target/guests
readonly components=$root/target/plugins
cd "$root"
toolchain=$(scripts/wasm-toolchain.sh)

if [[ -n ${PORTCULLIS_GUEST:-} ]]; then
  tool=$(realpath "$PORTCULLIS_GUEST")
else
  # The whole workspace's selection of features, so that tests do not build the same dependencies once more.
  cargo build --quiet --workspace --bin portcullis-guest
  # The folder of the workspace's own target, wherever cargo has been told to put it.
  tool=$(realpath "${CARGO_TARGET_DIR:-target}/debug/portcullis-guest")
fi
readonly tool

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
