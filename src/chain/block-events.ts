// The events of a subnet as final blocks tell them, without a gap: heads may skip numbers and endpoints may go, so blocks are read one by one, from the last
// that was told (chain.md 10.1).

import type { BlockNumber, SubnetId } from '../types/ids.ts';
import { errorCode } from '../util/errors.ts';
import { eventsMissed } from './errors.ts';
import type { BlockEvents, Chain, Head } from './types.ts';

/** A full node keeps the states of 256 blocks, an archive all: two hours of blocks of 6 s are read at once, and no more. */
export const MAX_LOOK_BACK = 1024;

/** Errors of an endpoint for which the next head brings another chance. */
const AWAY: readonly string[] = ['CHAIN_UNREACHABLE', 'CHAIN_TIMEOUT'];

/** See Chain.subnetEvents. */
export async function* followEvents(
  chain: Pick<Chain, 'heads' | 'blockHash' | 'events'>,
  subnet: SubnetId,
  after: BlockNumber | undefined,
  signal: AbortSignal,
): AsyncGenerator<BlockEvents, void> {
  let last = after;
  for await (const head of chain.heads('finalized', signal)) {
    last ??= head.number;
    if (head.number - last > MAX_LOOK_BACK) throw eventsMissed(next(last), head.number, MAX_LOOK_BACK);
    while (last < head.number) {
      const found: BlockEvents | undefined = await read(chain, next(last), head, signal);
      // Nobody has it now: the next head asks again.
      if (found === undefined) break;
      last = next(last);
      yield { ...found, events: found.events.filter(({ data }) => data.subnetId === subnet) };
    }
  }
}

/** A block up to this final head; undefined while no endpoint has both. */
async function read(
  chain: Pick<Chain, 'blockHash' | 'events'>,
  number: BlockNumber,
  head: Head,
  signal: AbortSignal,
): Promise<BlockEvents | undefined> {
  try {
    const hash = number === head.number ? head.hash : await chain.blockHash(number, signal);
    // What stands behind the same head has the same blocks before it, whichever endpoint tells them.
    const isOfHead = number === head.number || (await chain.blockHash(head.number, signal)) === head.hash;
    if (hash === undefined || !isOfHead) return undefined;
    return { block: { number, hash }, events: await chain.events(hash, signal) };
  } catch (error) {
    if (AWAY.includes(errorCode(error)) && !signal.aborted) return undefined;
    if (errorCode(error) === 'CHAIN_STATE_DISCARDED') throw eventsMissed(number, head.number, MAX_LOOK_BACK, error);
    throw error;
  }
}

function next(block: BlockNumber): BlockNumber {
  return (block + 1) as BlockNumber;
}
