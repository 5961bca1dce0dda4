// node scripts/chain/spec.ts WASM: writes chain/spec/devnet.json, the raw spec of preset `devnet` with the wasm inside, and SHA256SUMS.
// The last step of rebuild.sh; trusts the wasm it is given.

import { readFileSync, writeFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { hex, keyToHex } from '../../src/devchain/hex.ts';
import { CODE_KEY } from '../../src/devchain/runtime.ts';
import { trieGet, trieKeys } from '../../src/devchain/trie.ts';
import { concatBytes, fromHex } from '../../src/util/bytes.ts';
import { buildGenesis } from './genesis.ts';
import { SPEC, SUMS, sumsOf } from './sums.ts';

/** What Substrate puts before a zstd-compressed runtime. */
const COMPRESSED_CODE = fromHex('52bc537646db8e05');
/** The file is read far more often than it is made. */
const ZSTD_LEVEL = 19;

await hashingReady();
const [wasmPath] = process.argv.slice(2);
if (wasmPath === undefined) throw new Error('usage: node scripts/chain/spec.ts WASM');
const text = specText(readFileSync(wasmPath));
writeFileSync(SPEC, text);
writeFileSync(SUMS, sumsOf(text));
process.stderr.write(`${SPEC}: ${text.length} bytes\n`);

function specText(wasm: Uint8Array): string {
  const genesis = buildGenesis(wasm, 'devnet');
  const top = [...trieKeys(genesis, '')].map(
    (key) => [keyToHex(key), hex(trieGet(genesis, key) ?? new Uint8Array())] as const,
  );
  const withCode = [...top, [keyToHex(CODE_KEY), hex(compressed(wasm))] as const].sort(([a], [b]) => (a < b ? -1 : 1));
  const spec = {
    name: 'Tessera Devnet',
    id: 'tessera_devnet',
    chainType: 'Development',
    bootNodes: [],
    telemetryEndpoints: null,
    protocolId: 'tessera_devnet',
    properties: { isEthereum: true, ss58Format: 42, tokenDecimals: 18, tokenSymbol: 'TENSOR' },
    codeSubstitutes: {},
    genesis: { raw: { top: Object.fromEntries(withCode), childrenDefault: {} } },
  };
  return `${JSON.stringify(spec, null, 1)}\n`;
}

function compressed(wasm: Uint8Array): Uint8Array {
  return concatBytes(
    COMPRESSED_CODE,
    zstdCompressSync(wasm, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }),
  );
}
