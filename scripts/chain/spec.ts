// node scripts/chain/spec.ts WASM: writes chain/spec/devnet.json, the raw spec of preset `devnet` with the wasm inside, and SHA256SUMS.
// The last step of rebuild.sh; the genesis is made by the runtime itself on our own engine (chain.md 1), the wasm is trusted.

import { readFileSync, writeFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { withGenesis } from '../../src/devchain/genesis.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { hex, keyToHex } from '../../src/devchain/hex.ts';
import { CODE_KEY } from '../../src/devchain/runtime.ts';
import { withGenesisTime } from '../../src/devchain/spec.ts';
import { concatBytes, fromHex } from '../../src/util/bytes.ts';
import { silentLog } from '../../src/util/log.ts';
import { SPEC, SUMS, sumsOf } from './sums.ts';

/** What Substrate puts before a zstd-compressed runtime. */
const COMPRESSED_CODE = fromHex('52bc537646db8e05');
/** The file is read far more often than it is made. */
const ZSTD_LEVEL = 19;
/** Time of the block before the first; later blocks follow every 6 s, whatever a wall clock says (chain.md 8). */
const GENESIS_TIME_MS = 1_770_000_000_000;

await hashingReady();
const [wasmPath] = process.argv.slice(2);
if (wasmPath === undefined) throw new Error('usage: node scripts/chain/spec.ts WASM');
const text = specText(readFileSync(wasmPath));
writeFileSync(SPEC, text);
writeFileSync(SUMS, sumsOf(text));
process.stderr.write(`${SPEC}: ${text.length} bytes\n`);

function specText(wasm: Uint8Array): string {
  const code = hex(compressed(wasm));
  const empty = {
    name: 'Tessera Devnet',
    id: 'tessera_devnet',
    chainType: 'Development',
    bootNodes: [],
    telemetryEndpoints: null,
    protocolId: 'tessera_devnet',
    properties: { isEthereum: true, ss58Format: 42, tokenDecimals: 18, tokenSymbol: 'TENSOR' },
    codeSubstitutes: {},
    genesis: { raw: { top: { [keyToHex(CODE_KEY)]: code } } },
  };
  const spec = withGenesisTime(withGenesis(empty, { preset: 'devnet' }, { log: silentLog }), GENESIS_TIME_MS);
  const genesis = { raw: { ...spec.genesis.raw, childrenDefault: {} } };
  return `${JSON.stringify({ ...spec, genesis }, null, 1)}\n`;
}

function compressed(wasm: Uint8Array): Uint8Array {
  return concatBytes(
    COMPRESSED_CODE,
    zstdCompressSync(wasm, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }),
  );
}
