#!/usr/bin/env bash
# Checks every dependency against deny.toml, in the workspace and in the policies' own.
#
# With cargo-deny where it is installed: licences, bans, sources, and advisories when their database can be fetched.
# Without it (building it takes longer than all our tests): the first three, from `cargo metadata`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if command -v cargo-deny >/dev/null; then
  for manifest in Cargo.toml plugins/Cargo.toml; do
    cargo deny --locked --manifest-path "$manifest" check --config "$PWD/deny.toml" --hide-inclusion-graph bans licenses sources
  done
  if cargo deny --locked fetch db 2>/dev/null; then
    cargo deny --locked check --config "$PWD/deny.toml" --disable-fetch advisories
  else
    echo "check-dependencies: the advisory database cannot be fetched; advisories are not checked" >&2
  fi
else
  echo "check-dependencies: cargo-deny is not installed; licences, bans and sources are checked, advisories are not" >&2
  for manifest in Cargo.toml plugins/Cargo.toml; do
    cargo metadata --locked --all-features --format-version 1 --manifest-path "$manifest" |
      python3 scripts/check-dependencies.py deny.toml "$manifest"
  done
fi
