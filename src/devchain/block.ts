// Builds the next block: digest, inherents, transactions, seal-less end. The chain's clock steps by a fixed time per block and never looks at
// the wall (chain.md 9). A failed build leaves the parent's state as it was, since states are immutable.

import { concatBytes, u64le } from '../util/bytes.ts';
import { CodedError, errorMessage } from '../util/errors.ts';
import { storageKey } from './hashing.ts';
import { decodeHeader, encodeHeader, type Header, headerHash, ZERO_HASH } from './header.ts';
import { type Hex, hex } from './hex.ts';
import type { PoolEntry } from './pool.ts';
import type { Runtime } from './runtime.ts';
import { createReader, list, vec } from './scale.ts';
import { createState, type State } from './state.ts';
import { type Trie, trieGet } from './trie.ts';
import { decodeApplyRefusal, type Refusal } from './validity.ts';

export interface Block {
  readonly number: number;
  readonly hash: Hex;
  readonly header: Header;
  readonly extrinsics: readonly Hex[];
}

/** What the chain's clock adds per block, and the length of an Aura slot. */
const SLOT_MS = 6000;
/** After this many transactions that no longer fit, the block counts as full. */
const MAX_SKIPPED = 8;

class BlockError extends CodedError<{ code: 'BLOCK_INHERENT_REFUSED'; reason: string }> {}

export interface BuiltBlock {
  readonly block: Block;
  /** State after the block. */
  readonly trie: Trie;
  readonly included: readonly PoolEntry[];
  /** Transactions that can never be in a block after this parent, and why. */
  readonly refused: readonly { readonly entry: PoolEntry; readonly reason: string; readonly trapped: boolean }[];
}

export interface BuildInput {
  readonly parent: Block;
  readonly trie: Trie;
  readonly runtime: Runtime;
  readonly candidates: Generator<PoolEntry, void, boolean>;
  /** Slots to leave empty before this block (0 = none). */
  readonly skipSlots: number;
}

/** Throws RuntimeError or BlockError when the runtime refuses to build. */
export function buildBlock(input: BuildInput): BuiltBlock {
  const { parent, runtime } = input;
  const state = createState(input.trie);
  const timestamp = timestampOf(input.trie) + BigInt(SLOT_MS * (1 + input.skipSlots));
  const slot = timestamp / BigInt(SLOT_MS);
  runtime.call(state, 'Core_initialize_block', encodeHeader(openHeader(parent, slot)));
  const inherents = applyInherents(runtime, state, timestamp, slot);
  const { included, refused } = applyTransactions(runtime, state, input.candidates);
  const header = decodeHeader(runtime.call(state, 'BlockBuilder_finalize_block'));
  const extrinsics = [...inherents, ...included.map(({ bytes }) => bytes)].map(hex);
  return {
    block: { number: header.number, hash: headerHash(header), header, extrinsics },
    trie: state.trie(),
    included,
    refused,
  };
}

const timestampKey = storageKey('Timestamp', 'Now');

/** Milliseconds; 0 when the state has no clock yet. */
function timestampOf(trie: Trie): bigint {
  const value = trieGet(trie, timestampKey);
  return value === undefined ? 0n : createReader(value).u64();
}

const AURA_ENGINE = Buffer.from('aura');
/** sp_runtime::DigestItem::PreRuntime */
const PRE_RUNTIME = 6;

function openHeader(parent: Block, slot: bigint): Header {
  const digest = concatBytes(Uint8Array.of(PRE_RUNTIME), AURA_ENGINE, vec(u64le(slot)));
  return {
    parentHash: parent.hash,
    number: parent.number + 1,
    stateRoot: ZERO_HASH,
    extrinsicsRoot: ZERO_HASH,
    logs: [hex(digest)],
  };
}

function applyInherents(runtime: Runtime, state: State, timestamp: bigint, slot: bigint): readonly Uint8Array[] {
  const data = list([inherent('auraslot', slot), inherent('timstap0', timestamp)]);
  const reader = createReader(runtime.call(state, 'BlockBuilder_inherent_extrinsics', data));
  const inherents = Array.from({ length: reader.compact() }, () => vec(reader.vec()));
  for (const extrinsic of inherents) {
    const refusal = decodeApplyRefusal(runtime.call(state, 'BlockBuilder_apply_extrinsic', extrinsic));
    if (refusal !== undefined) {
      throw new BlockError(
        { code: 'BLOCK_INHERENT_REFUSED', reason: refusal.name },
        `the runtime refuses its own inherent: ${refusal.text}`,
      );
    }
  }
  return inherents;
}

/** An entry of InherentData: 8-byte identifier, then the value as bytes. */
function inherent(identifier: string, value: bigint): Uint8Array {
  return concatBytes(Buffer.from(identifier), vec(u64le(value)));
}

type Applied = {
  readonly included: PoolEntry[];
  readonly refused: { entry: PoolEntry; reason: string; trapped: boolean }[];
};

function applyTransactions(runtime: Runtime, state: State, candidates: BuildInput['candidates']): Applied {
  const applied: Applied = { included: [], refused: [] };
  let skipped = 0;
  for (let step = candidates.next(); !step.done; ) {
    const entry = step.value;
    const outcome = applyTransaction(runtime, state, entry);
    if (outcome === undefined) applied.included.push(entry);
    else if (outcome.name === 'ExhaustsResources') skipped++;
    else applied.refused.push({ entry, reason: outcome.text, trapped: outcome.name === 'Trapped' });
    if (skipped >= MAX_SKIPPED) break;
    step = candidates.next(outcome === undefined);
  }
  return applied;
}

/** Undefined when the transaction is in the block; otherwise the state is as before. */
function applyTransaction(
  runtime: Runtime,
  state: State,
  entry: PoolEntry,
): Pick<Refusal, 'name' | 'text'> | undefined {
  state.begin();
  const outcome = tryApply(runtime, state, entry.bytes);
  if (outcome === undefined) state.commit();
  else state.rollback();
  return outcome;
}

function tryApply(runtime: Runtime, state: State, extrinsic: Uint8Array): Pick<Refusal, 'name' | 'text'> | undefined {
  try {
    return decodeApplyRefusal(runtime.call(state, 'BlockBuilder_apply_extrinsic', extrinsic));
  } catch (error) {
    return { name: 'Trapped', text: errorMessage(error) };
  }
}
