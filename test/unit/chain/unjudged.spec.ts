import assert from 'node:assert/strict';
import { nameUnjudged } from '../../../src/chain/unjudged.ts';
import type { Epoch, NodeId, SubnetId } from '../../../src/types/ids.ts';

describe('who cannot be judged', () => {
  const id = (n: number) => n as NodeId;
  const nodes = [
    { id: id(1), startEpoch: 0 as Epoch },
    { id: id(2), startEpoch: 8 as Epoch },
    { id: id(3), startEpoch: 9 as Epoch },
    { id: id(4), startEpoch: 20 as Epoch },
  ];
  const scoresOf = (...scores: readonly (readonly [number, bigint])[]) => {
    const proposal = {
      subnet: 1 as SubnetId,
      epoch: 9 as Epoch,
      scores: scores.map(([node, score]) => ({ nodeId: id(node), score })),
      args: new Uint8Array([1]),
      attestData: new Uint8Array([2]),
    };
    const named = nameUnjudged(proposal, nodes);
    assert.deepEqual({ ...named, scores: [] }, { ...proposal, scores: [] }, 'nothing else changes');
    return named.scores.map(({ nodeId, score }) => [nodeId, score]);
  };

  it('is named with 0 by a proposal of epoch 9, which judges epoch 8; who earned nothing in that is not', () => {
    assert.deepEqual(scoresOf([1, 7n]), [
      [1, 7n],
      [3, 0n],
      [4, 0n],
    ]);
  });

  it('keeps its score where it has one', () => {
    assert.deepEqual(scoresOf([3, 5n], [1, 7n]), [
      [1, 7n],
      [3, 5n],
      [4, 0n],
    ]);
  });

  it('is everybody where nothing is judged', () => {
    assert.deepEqual(
      scoresOf(),
      [1, 2, 3, 4].map((node) => [node, 0n]),
    );
  });
});
