// The proof-of-stake question with a memory: every connection of the overlay asks it, and it must not fail with the chain for a minute
// (chain.md 10.1).

import type { Hash, PeerId, SubnetId } from '../../types/ids.ts';
import { errorCode } from '../../util/errors.ts';

type Ask = (subnet: SubnetId, peer: PeerId, minClass: number, at: Hash, signal?: AbortSignal) => Promise<boolean>;

/** How long an old answer stands in for a chain that cannot be asked. */
const OUTAGE_MS = 60_000;

/** Questions of one finalized block; a full subnet has 256 nodes with 3 ids, strangers come on top. */
const MAX_ANSWERS = 4096;

/** Answers once per question and block; while the chain is away, with the last answer if it is at most a minute old. */
export function rememberStake(ask: Ask, now: () => number): Ask {
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

  return (subnet, peer, minClass, at, signal) => {
    if (block !== at || current.size >= MAX_ANSWERS) current.clear();
    block = at;
    const key = `${subnet}/${minClass}/${peer}`;
    const known = current.get(key);
    if (known !== undefined) return known;
    const answer = askAnew(key, subnet, peer, minClass, at, signal);
    current.set(key, answer);
    return answer;
  };
}
