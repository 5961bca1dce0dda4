// Which policy holds now: what the owner writes in an epoch holds from the second next one on (protocol.md 1), so who starts right after a change still runs
// the model from before it.

import type { Chain, Subnet } from '../chain/types.ts';
import { firstBlock, phaseAt } from '../consensus/phase.ts';
import type { BlockNumber, Epoch } from '../types/ids.ts';
import { errorCode } from '../util/errors.ts';
import { type Policies, policiesOf } from './requirements.ts';

/**
 * By the best head, and the state that the rosters read (validator/roster.ts).
 *
 * @throws POLICY_MALFORMED, ChainError
 */
export async function readPolicies(
  subnet: Subnet,
  chain: Pick<Chain, 'info' | 'head' | 'blockHash' | 'subnet'>,
  signal: AbortSignal,
): Promise<Policies> {
  const { epochLength } = await chain.info(signal);
  const { number } = await chain.head('best', signal);
  const clock = { slot: subnet.slot, epochLength };
  const epoch = phaseAt(number, clock)?.epoch;
  // Where there was no subnet yet at h(e-1), what it had at h(e) is the first that was written.
  for (const back of [1, 0]) {
    const at = epoch === undefined ? -1 : firstBlock((epoch - back) as Epoch, clock);
    const misc = at < 0 ? undefined : await miscAt(at as BlockNumber, subnet, chain, signal);
    if (misc !== undefined && misc.length > 0) return policiesOf(subnet, misc);
  }
  return policiesOf(subnet, undefined);
}

/** Undefined where there was no subnet; and where the endpoint has forgotten that state, which leaves what is written now. */
async function miscAt(
  block: BlockNumber,
  { id }: Subnet,
  chain: Pick<Chain, 'blockHash' | 'subnet'>,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    const hash = await chain.blockHash(block, signal);
    return hash === undefined ? undefined : (await chain.subnet(id, hash, signal))?.misc;
  } catch (error) {
    if (errorCode(error) === 'CHAIN_STATE_DISCARDED') return undefined;
    throw error;
  }
}
