// A duty that the chain refuses because it was done already counts as done, when it was this node that did it (chain.md 10.2): after a
// restart or a lost answer the same submission is sent twice.

import type { Address, Epoch, Hash, SubnetId } from '../types/ids.ts';
import { type Chain, ChainError, type Receipt, type Submission } from './types.ts';

type Reads = Pick<Chain, 'submission' | 'nodeByHotkey' | 'blockHash'>;

export interface Duty {
  readonly error: 'SubnetRewardsAlreadySubmitted' | 'AlreadyAttested';
  readonly subnet: SubnetId;
  readonly epoch: Epoch;
  readonly hotkey: Address;
  readonly signal?: AbortSignal;
}

/** Runs `send`; where it fails with the duty's error, answers with the block in which this node's earlier one was included. */
export async function orDoneAlready(reads: Reads, duty: Duty, send: () => Promise<Receipt>): Promise<Receipt> {
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof ChainError) || error.facts.code !== 'EXTRINSIC_FAILED' || error.facts.error !== duty.error) {
      throw error;
    }
    const done = await findDone(reads, duty);
    if (done === undefined) throw error;
    return done;
  }
}

async function findDone(reads: Reads, { error, subnet, epoch, hotkey, signal }: Duty): Promise<Receipt | undefined> {
  const [submission, node] = await Promise.all([
    reads.submission(subnet, epoch, undefined, signal),
    reads.nodeByHotkey(subnet, hotkey, undefined, signal),
  ]);
  if (submission === undefined || node === undefined) return undefined;
  const number = error === 'AlreadyAttested' ? blockOfVote(submission, node.id) : blockOfProposal(submission, node.id);
  const hash = number === undefined ? undefined : await reads.blockHash(number, signal);
  if (number === undefined || hash === undefined) return undefined;
  return { block: { number, hash }, extrinsicHash: NO_EXTRINSIC, events: [] };
}

/** The receipt of an earlier process's transaction does not know its hash; nor does that of what a chain did by itself. */
export const NO_EXTRINSIC = `0x${'00'.repeat(32)}` as Hash;

function blockOfProposal({ proposer, block }: Submission, node: number) {
  return proposer === node ? block : undefined;
}

function blockOfVote({ attests }: Submission, node: number) {
  return attests.find(({ nodeId }) => nodeId === node)?.block;
}
