// The proof-of-stake question with a memory: every connection of the overlay asks it, and it must not fail with the chain for a minute
// (chain.md 10.1).

import type { Hash, PeerId, SubnetId } from '../../types/ids.ts';
import { raceSignal } from '../../util/async.ts';
import { errorCode } from '../../util/errors.ts';

/** Has a deadline of its own. */
type Ask = (
  subnet: SubnetId,
  peer: PeerId,
  minClass: number,
  minStake: bigint | undefined,
  at: Hash,
) => Promise<boolean>;

/** How long an old answer stands in for a chain that cannot be asked. */
const OUTAGE_MS = 60_000;

/** Questions of one finalized block; a full subnet has 256 nodes with 3 ids, strangers come on top. */
const MAX_ANSWERS = 4096;

/**
 * Answers once per question and block; while the chain is away, with the last answer if it is at most a minute old. One question is shared by
 * all who wait for its answer, so a signal only ends the waiting of its owner.
 */
export function rememberStake(
  ask: Ask,
  now: () => number,
): (...question: [...Parameters<Ask>, signal?: AbortSignal]) => Promise<boolean> {
  let block: Hash | undefined;
  const current = new Map<string, Promise<boolean>>();
  const last = new Map<string, { readonly answer: boolean; readonly ms: number }>();

  async function askAnew(key: string, ...question: Parameters<Ask>): Promise<boolean> {
    try {
      const answer = await ask(...question);
      if (last.size >= MAX_ANSWERS) last.clear();
      last.set(key, { answer, ms: now() });
      return answer;
    } catch (error) {
      current.delete(key);
      const known = last.get(key);
      const isAway = ['CHAIN_UNREACHABLE', 'CHAIN_TIMEOUT'].includes(errorCode(error));
      if (!isAway || known === undefined || now() - known.ms > OUTAGE_MS) throw error;
      return known.answer;
    }
  }

  return async (subnet, peer, minClass, minStake, at, signal) => {
    if (block !== at || current.size >= MAX_ANSWERS) current.clear();
    block = at;
    const key = `${subnet}/${minClass}/${minStake ?? ''}/${peer}`;
    const answer = current.get(key) ?? askAnew(key, subnet, peer, minClass, minStake, at);
    current.set(key, answer);
    return signal === undefined ? answer : raceSignal(answer, signal);
  };
}
