// What the makers of vectors share: constants, and numbers and bytes drawn from a word, so that a second run gives the same files.

import type { Epoch, NodeId, PeerId, SubnetId } from '../../src/types/ids.ts';
import type { Roster } from '../../src/types/subnet.ts';
import { utf8 } from '../../src/util/bytes.ts';
import { shake256 } from '../../src/util/hash.ts';

export const fill = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);
export const GENESIS = fill(1);
export const SUBNET = 128_001 as SubnetId;
export const EPOCH = 7 as Epoch;
export const MANIFEST = fill(4);
/** Its first 32-byte hash of a block, and what the specification says the seed of epoch 7 is (protocol.md 17). */
export const BLOCK_HASH = fill(2);
export const SEED = 'e76fca72b5fe79470dac0fcd42f0faa9a35f84f809050651d9a8c2d5e438afaf';

/** Bytes that only depend on the word. */
export function drawn(word: string, length: number): Uint8Array {
  return shake256(length, utf8(`tessera vectors ${word}`));
}

/** Integers in [0, below), the same for the same word. */
export function createDice(word: string): (below: number) => number {
  const stream = drawn(word, 1 << 18);
  const view = new DataView(stream.buffer);
  let at = 0;
  return (below) => {
    if (at >= stream.length) throw new RangeError(`${word} draws too much`);
    const value = view.getUint32(at, true) % below;
    at += 4;
    return value;
  };
}

/** Only what the rules look at. */
export function rosterOf(
  ids: readonly number[],
  what: {
    readonly epoch?: number;
    readonly validators?: readonly number[];
    readonly live?: boolean;
    readonly peers?: readonly PeerId[];
  } = {},
): Roster {
  const nodes = ids.map((id, i) => ({
    id: id as NodeId,
    peer: (what.peers?.[i] ?? '') as PeerId,
    hotkey: `0x${'00'.repeat(20)}` as Roster['nodes'][number]['hotkey'],
    nodeClass: 'Validator' as const,
    startEpoch: 0 as Epoch,
  }));
  const { validators = ids, live = true, epoch = EPOCH } = what;
  return { epoch: epoch as Epoch, nodes, validators: validators as NodeId[], live };
}

/** u32 bits of a float32. */
export function bitsOf(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0);
}
