#!/bin/sh
# npm run chain:node: builds chain/node and says where it is. Half an hour on two cores the first time, 2.5 GB outside the checkout.
# Needs a C compiler, protobuf-compiler, libssl-dev and pkg-config.
#   CARGO_TARGET_DIR default <tmp>/tessera-chain-node-target     JOBS default 2     CHECK=1 lints and tests
set -eu
cd "$(dirname "$0")/../../chain/node"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${TMPDIR:-/tmp}/tessera-chain-node-target}"
if [ -n "${CHECK:-}" ]; then
  cargo clippy --locked -j "${JOBS:-2}" -- -D warnings
  exec cargo test --locked --release -j "${JOBS:-2}"
fi
cargo build --locked --release -j "${JOBS:-2}" 1>&2
echo "$CARGO_TARGET_DIR/release/tessera-node"
