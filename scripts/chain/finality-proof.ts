// GRANDPA's proof that a block is final (sp_consensus_grandpa::GrandpaJustification): who voted for what in which round. Judges signatures,
// ancestry and majority by itself; trusts only the authorities it is given.

import { ed25519Verify } from '@polkadot/util-crypto';
import { decodeHeader, encodeHeader, type Header, headerHash } from '../../src/devchain/header.ts';
import { type Hex, hex } from '../../src/devchain/hex.ts';
import { createReader } from '../../src/devchain/scale.ts';
import { concatBytes, fromHex, u32le, u64le } from '../../src/util/bytes.ts';

export interface FinalityProof {
  readonly round: bigint;
  readonly target: { readonly hash: Hex; readonly number: number };
  readonly votes: readonly Vote[];
  /** Headers that lead from votes for later blocks back to the target. */
  readonly ancestries: readonly Header[];
}

interface Vote {
  readonly hash: Hex;
  readonly number: number;
  readonly signature: Uint8Array;
  readonly voter: Hex;
}

/** Variant of finality_grandpa::Message. */
const PRECOMMIT = 1;

/** Throws RangeError for bytes that are no proof. */
export function decodeFinalityProof(bytes: Uint8Array): FinalityProof {
  const reader = createReader(bytes);
  const round = reader.u64();
  const target = { hash: hex(reader.bytes(32)), number: reader.u32() };
  const votes = Array.from({ length: reader.compact() }, () => ({
    hash: hex(reader.bytes(32)),
    number: reader.u32(),
    signature: reader.bytes(64),
    voter: hex(reader.bytes(32)),
  }));
  const ancestries: Header[] = [];
  for (let count = reader.compact(); count > 0; count--) {
    const header = decodeHeader(bytes.subarray(reader.at()));
    reader.bytes(encodeHeader(header).length);
    ancestries.push(header);
  }
  if (reader.left() > 0) throw new RangeError(`${reader.left()} bytes too many`);
  return { round, target, votes, ancestries };
}

/**
 * Who proves it: at least n - (n - 1) / 3 of n authorities, each with a valid signature for the target or a descendant.
 *
 * Throws RangeError that says what is wrong.
 */
export function checkFinalityProof(proof: FinalityProof, authorities: readonly Hex[], setId: bigint): readonly Hex[] {
  const { round, target, votes, ancestries } = proof;
  const parents = new Map(ancestries.map((header) => [headerHash(header), header]));
  const descends = (hash: Hex): boolean => {
    for (let at: Hex | undefined = hash, steps = 0; at !== undefined && steps <= parents.size; steps++) {
      if (at === target.hash) return true;
      at = parents.get(at)?.parentHash;
    }
    return false;
  };
  const voters = new Set<Hex>();
  for (const { hash, number, signature, voter } of votes) {
    if (!authorities.includes(voter)) throw new RangeError(`${voter} is no authority`);
    if (number < target.number || !descends(hash)) throw new RangeError(`a vote for ${hash}, which is no descendant`);
    const message = concatBytes(Uint8Array.of(PRECOMMIT), fromHex(hash), u32le(number), u64le(round), u64le(setId));
    if (!ed25519Verify(message, signature, voter)) throw new RangeError(`the signature of ${voter} is wrong`);
    voters.add(voter);
  }
  const needed = authorities.length - Math.floor((authorities.length - 1) / 3);
  if (voters.size < needed) throw new RangeError(`${voters.size} votes, ${needed} are needed`);
  return [...voters];
}
