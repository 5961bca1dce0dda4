// What a transcript of a network of validators proves, without asking anybody: every header follows the one before and bears the seal of the
// authority whose slot it was, the first follows the genesis, and each finality proof is of a block in this line.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sr25519Verify } from '@polkadot/util-crypto';

import { blake2b256, hashingReady } from '../../src/devchain/hashing.ts';
import { decodeHeader, encodeHeader, type Header, headerHash } from '../../src/devchain/header.ts';
import { type Hex, hex } from '../../src/devchain/hex.ts';
import { createRuntimes } from '../../src/devchain/runtime.ts';
import { createReader, list } from '../../src/devchain/scale.ts';
import { genesisState, type RawSpec } from '../../src/devchain/spec.ts';
import { createState } from '../../src/devchain/state.ts';
import type { Trie } from '../../src/devchain/trie.ts';
import { orderedRoot } from '../../src/devchain/trie-root.ts';
import { concatBytes, fromHex, toHex } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { silentLog } from '../../src/util/log.ts';
import { checkFinalityProof, decodeFinalityProof } from './finality-proof.ts';
import { authorityKeys, localNetworkSpec } from './local-network.ts';
import { genesisHash, ROOT, wasmOf } from './sums.ts';

export const TRANSCRIPT = join(ROOT, 'docs', 'transcripts', 'chain-node.jsonl');

/** One line of the file. */
export type TranscriptLine =
  | { readonly network: { readonly slotMs: number; readonly parameters: Readonly<Record<string, number>> } }
  /** SHA-256 of the wasm, and what the validators said that their genesis is. */
  | { readonly wasm: string; readonly genesis: Hex }
  /** What was done, in words and numbers, after this best block. */
  | { readonly did: string; readonly best: number; readonly finalized: number }
  /** SCALE, seal included; one per block from 1 on. */
  | { readonly header: Hex; readonly extrinsics: readonly Hex[] }
  /** As the validator stored it with this block. */
  | { readonly proof: Hex; readonly block: number };

export interface TranscriptFacts {
  readonly blocks: number;
  /** Blocks by authority, in the order of authorities. */
  readonly sealed: readonly number[];
  readonly proofs: readonly { readonly block: number; readonly votes: number }[];
  /** Whether the genesis could be computed anew: only while the runtime of this checkout is the one that ran. */
  readonly isThisRuntime: boolean;
  /** Blocks that the dev chain's executor came to the same state root for. */
  readonly executed: number;
}

/** GRANDPA's set of authorities has never changed. */
const SET_ID = 0n;
/** Digest items of engine `aura`: a pre-runtime slot of 8 bytes, and a seal of 64. */
const SLOT = /^0x066175726120(?<slot>[0-9a-f]{16})$/;
const SEAL = /^0x05617572610101(?<seal>[0-9a-f]{128})$/;

export function readTranscript(): readonly TranscriptLine[] {
  return readFileSync(TRANSCRIPT, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as TranscriptLine);
}

/** Throws RangeError that names the block and what is wrong with it. */
export async function checkTranscript(lines: readonly TranscriptLine[]): Promise<TranscriptFacts> {
  await hashingReady();
  const network = only(lines, 'network').network;
  const { wasm, genesis } = only(lines, 'wasm');
  const spec: RawSpec = JSON.parse(await localNetworkSpec({ slotMs: network.slotMs, network: network.parameters }));
  const state = genesisState(spec);
  const isThisRuntime = toHex(sha256(wasmOf(state))) === wasm;
  if (isThisRuntime && genesisHash(state) !== genesis)
    throw new RangeError('the genesis is not the one of this network');

  const sealers = authorityKeys('sr25519').map(({ publicKey }) => publicKey);
  const hashes: Hex[] = [genesis];
  const sealed = sealers.map(() => 0);
  let lastSlot = -1n;
  const execute = isThisRuntime ? createReplay(state) : undefined;
  for (const { header, extrinsics } of every(lines, 'header')) {
    const number = hashes.length;
    const block = decodeHeader(fromHex(header));
    if (hex(encodeHeader(block)) !== header) throw new RangeError(`block ${number}: no header`);
    if (block.number !== number || block.parentHash !== hashes[number - 1])
      throw new RangeError(`block ${number} does not follow block ${number - 1}`);
    const root = (version: 0 | 1) => hex(orderedRoot(extrinsics.map(fromHex), version));
    if (block.extrinsicsRoot !== root(0) && block.extrinsicsRoot !== root(1))
      throw new RangeError(`block ${number}: the transactions are others`);
    const slot = slotOf(block);
    if (slot <= lastSlot) throw new RangeError(`block ${number}: slot ${slot} after ${lastSlot}`);
    const author = Number(slot % BigInt(sealers.length));
    if (!isSealedBy(block, sealers[author] as Uint8Array)) throw new RangeError(`block ${number}: the seal is wrong`);
    sealed[author] = (sealed[author] ?? 0) + 1;
    execute?.(block, extrinsics);
    lastSlot = slot;
    hashes.push(headerHash(block));
  }

  const voters = authorityKeys('ed25519').map(({ publicKey }) => hex(publicKey));
  const proofs = every(lines, 'proof').map(({ proof, block }) => {
    const decoded = decodeFinalityProof(fromHex(proof));
    if (decoded.target.number !== block || decoded.target.hash !== hashes[block])
      throw new RangeError(`the proof for block ${block} is of another block`);
    return { block, votes: checkFinalityProof(decoded, voters, SET_ID).length };
  });
  const blocks = hashes.length - 1;
  return { blocks, sealed, proofs, isThisRuntime, executed: isThisRuntime ? blocks : 0 };
}

/** Executes block after block as a node that imports them: the runtime refuses one whose state root is not what it comes to itself. */
function createReplay(genesis: Trie): (block: Header, extrinsics: readonly Hex[]) => void {
  const runtimeOf = createRuntimes({ log: silentLog });
  let trie = genesis;
  return (block, extrinsics) => {
    const unsealed = { ...block, logs: block.logs.slice(0, -1) };
    const state = createState(trie);
    const bytes = concatBytes(encodeHeader(unsealed), list(extrinsics.map(fromHex)));
    runtimeOf(trie).call(state, 'Core_execute_block', bytes);
    trie = state.trie();
  };
}

function every<K extends string>(lines: readonly TranscriptLine[], key: K) {
  return lines.filter((line): line is Extract<TranscriptLine, Record<K, unknown>> => key in line);
}

function only<K extends string>(lines: readonly TranscriptLine[], key: K) {
  const [found, ...more] = every(lines, key);
  if (found === undefined || more.length > 0) throw new RangeError(`one line with "${key}" is expected`);
  return found;
}

function slotOf({ number, logs }: Header): bigint {
  const slot = SLOT.exec(logs[0] ?? '')?.groups?.slot;
  if (slot === undefined) throw new RangeError(`block ${number} names no slot`);
  return createReader(Buffer.from(slot, 'hex')).u64();
}

/** A seal signs the hash of the header without it. */
function isSealedBy(header: Header, key: Uint8Array): boolean {
  const seal = SEAL.exec(header.logs.at(-1) ?? '')?.groups?.seal;
  if (seal === undefined) return false;
  const unsealed = { ...header, logs: header.logs.slice(0, -1) };
  return sr25519Verify(blake2b256(encodeHeader(unsealed)), Buffer.from(seal, 'hex'), key);
}
