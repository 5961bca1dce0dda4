#!/bin/sh
# npm run chain:rebuild: the runtime as wasm, then chain/spec from it. Needs Debian's compiler (see chain/README.md):
# rustc-web, cargo-web, rust-web-src of one version and lld. Trusts the crates named by chain/Cargo.lock and nothing else.
#   RUST_BIN folder of rustc and cargo (default /usr/bin)     CARGO_TARGET_DIR default <tmp>/tessera-chain-target, never the checkout
set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
CHAIN=$ROOT/chain
BIN=${RUST_BIN:-/usr/bin}
TARGET=wasm32v1-none
OUT=${CARGO_TARGET_DIR:-${TMPDIR:-/tmp}/tessera-chain-target}
export RUSTC="$BIN/rustc" RUSTDOC="$BIN/rustdoc" RUSTC_BOOTSTRAP=1
SRC=${CARGO_HOME:-$HOME/.cargo}/registry/src
STD=$("$RUSTC" --print sysroot)/lib/rustlib/src/rust
# Panic messages carry source paths: the remaps make two checkouts give the same bytes.
FLAGS="-C linker=wasm-ld -C linker-flavor=wasm-ld -C target-cpu=mvp -C target-feature=-sign-ext
 -C link-arg=--export-table -C link-arg=--import-memory -C link-arg=--export=__heap_base --cfg substrate_runtime
 --remap-path-prefix=$CHAIN=/chain --remap-path-prefix=$SRC=/registry --remap-path-prefix=$STD=/rust --remap-path-prefix=$OUT=/target"
# echo joins the lines: cargo compares the text of the flags and rebuilds everything when one blank differs
RUSTFLAGS=$(echo $FLAGS)
export RUSTFLAGS
cd "$CHAIN"
# Debian has no core for this target, so core and alloc are built from rust-web-src (hence RUSTC_BOOTSTRAP).
"$BIN/cargo" build --locked -j "${JOBS:-2}" -p tessera-runtime --lib --profile wasm --target "$TARGET" --target-dir "$OUT" \
  --no-default-features -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem
WASM=$OUT/$TARGET/wasm/tessera_runtime.wasm
ls -l "$WASM"
cd "$ROOT"
exec "$ROOT/node_modules/.bin/node" scripts/chain/spec.ts "$WASM"
