import assert from 'node:assert/strict';
import { type Duty, orDoneAlready } from '../../../src/chain/duties.ts';
import { extrinsicFailed } from '../../../src/chain/errors.ts';
import type { Receipt, Submission, SubnetNode } from '../../../src/chain/types.ts';
import type { Address, BlockNumber, Epoch, Hash, NodeId, SubnetId } from '../../../src/types/ids.ts';

const OWN = 1 as NodeId;
const OTHER = 2 as NodeId;

/** A chain on which `proposer` proposed in block 7 and `voter` attested in block 8. */
function reads(proposer: NodeId, voter: NodeId) {
  const attests = [{ nodeId: voter, block: 8 as BlockNumber, rewardFactor: 1n, data: new Uint8Array() }];
  return {
    submission: async () => ({ proposer, block: 7 as BlockNumber, attests }) as unknown as Submission,
    nodeByHotkey: async () => ({ id: OWN }) as SubnetNode,
    blockHash: async (block: BlockNumber) => `0x${block}` as Hash,
  };
}

function duty(error: Duty['error']): Duty {
  return { error, subnet: 1 as SubnetId, epoch: 3 as Epoch, hotkey: '0x11' as Address };
}

function refused(error: string): () => Promise<Receipt> {
  return () => Promise.reject(extrinsicFailed('call', 'Network', error));
}

describe('duties that were done already', () => {
  it('count where this node did them, with the block of then', async () => {
    for (const [error, block] of [
      ['SubnetRewardsAlreadySubmitted', 7],
      ['AlreadyAttested', 8],
    ] as const) {
      const receipt = await orDoneAlready(reads(OWN, OWN), duty(error), refused(error));
      assert.deepEqual(receipt.block, { number: block, hash: `0x${block}` });
    }
  });

  it('are refused where another node did them, and so is everything else', async () => {
    for (const error of ['SubnetRewardsAlreadySubmitted', 'AlreadyAttested'] as const) {
      await assert.rejects(orDoneAlready(reads(OTHER, OTHER), duty(error), refused(error)), (thrown: Error) =>
        thrown.message.includes(error),
      );
      await assert.rejects(orDoneAlready(reads(OWN, OWN), duty(error), refused('Paused')), (thrown: Error) =>
        thrown.message.includes('Paused'),
      );
    }
  });
});
