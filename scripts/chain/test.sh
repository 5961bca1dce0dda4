#!/bin/sh
# The chain's Rust tests (cargo's own output: one `test result:` line per crate, exit code 0 only if all passed). Lints come first: a pallet
# that can panic does not pass. Cold about 3 minutes, 1 GB outside the checkout.
set -eu
cd "$(dirname "$0")/../../chain"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${TMPDIR:-/tmp}/tessera-chain-target}"
# debug information is half of the build's time and space
export CARGO_PROFILE_DEV_DEBUG=0
cargo clippy --locked -j "${JOBS:-2}" -p pallet-network -p account -- -D warnings
exec cargo test --locked -j "${JOBS:-2}" -p pallet-network -p account
