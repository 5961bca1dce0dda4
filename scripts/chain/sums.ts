// What chain/spec/SHA256SUMS says: the spec file, the wasm inside, its metadata, the genesis hash, and the sources that it was built from.
// Trusts only the files of the checkout.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { createExecutor, decompressCode } from '../../src/devchain/executor.ts';
import { headerHash, ZERO_HASH } from '../../src/devchain/header.ts';
import { hex } from '../../src/devchain/hex.ts';
import { CODE_KEY } from '../../src/devchain/runtime.ts';
import { genesisState, type RawSpec } from '../../src/devchain/spec.ts';
import { createState } from '../../src/devchain/state.ts';
import { type Trie, trieGet } from '../../src/devchain/trie.ts';
import { orderedRoot, trieRoot } from '../../src/devchain/trie-root.ts';
import { toHex, utf8 } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { silentLog } from '../../src/util/log.ts';

export const ROOT = join(import.meta.dirname, '..', '..');
export const SPEC = join(ROOT, 'chain', 'spec', 'devnet.json');
export const SUMS = join(ROOT, 'chain', 'spec', 'SHA256SUMS');
/** Not sources of the wasm: made from it, run it, or cargo's own. */
const NOT_SOURCES = ['spec', 'node', 'target'];

/** One line per thing, as sha256sum prints it; the genesis hash is the chain's own hash and not a SHA-256. */
export function sumsOf(specText: string): string {
  const spec: RawSpec = JSON.parse(specText);
  const trie = genesisState(spec);
  const wasm = wasmOf(trie);
  const metadata = createExecutor(wasm, { log: silentLog }).call(createState(trie), 'Metadata_metadata');
  const lines: [string, string][] = [
    [toHex(sha256(utf8(specText))), 'devnet.json'],
    [toHex(sha256(wasm)), 'runtime.wasm'],
    [toHex(sha256(metadata)), 'metadata'],
    [genesisHash(trie).slice(2), 'genesis-block-hash'],
    [sourcesHash(), 'sources'],
  ];
  return lines.map(([sum, name]) => `${sum}  ${name}\n`).join('');
}

export function wasmOf(trie: Trie): Uint8Array {
  const code = trieGet(trie, CODE_KEY);
  if (code === undefined) throw new Error('the spec has no runtime code');
  return decompressCode(code);
}

export function genesisHash(trie: Trie): string {
  return headerHash({
    parentHash: ZERO_HASH,
    number: 0,
    stateRoot: hex(trieRoot(trie, 1)),
    extrinsicsRoot: hex(orderedRoot([], 1)),
    logs: [],
  });
}

/** SHA-256 over the sorted lines `<sha256 of a file>  <its path under chain/>`. */
function sourcesHash(): string {
  const chain = join(ROOT, 'chain');
  const lines = filesUnder(chain)
    .map((path) => relative(chain, path).split(sep).join('/'))
    .filter((path) => !NOT_SOURCES.some((folder) => path.startsWith(`${folder}/`)))
    .sort()
    .map((path) => `${toHex(sha256(readFileSync(join(chain, path))))}  ${path}\n`);
  return toHex(sha256(utf8(lines.join(''))));
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}
