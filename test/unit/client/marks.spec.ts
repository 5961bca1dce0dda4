import assert from 'node:assert/strict';
import { createMarks } from '../../../src/client/marks.ts';
import type { BlockNumber, NodeId, PeerId } from '../../../src/types/ids.ts';

const A = 'a' as PeerId;

function isOut(marks: ReturnType<typeof createMarks>, block: number, peer = A, now = 0, otherRoute = true): boolean {
  return marks
    .excluded(
      [
        {
          node: 1 as NodeId,
          peer,
          shards: [],
          load: 0,
          rowsPerSecond: 0,
          freePositions: 0,
          memoryMiB: 0,
          block: block as BlockNumber,
        },
      ],
      now,
      otherRoute,
    )
    .has(peer);
}

describe('client: marks of failed peers', () => {
  it('the first failure lasts until the next announce', () => {
    const marks = createMarks();
    assert.equal(isOut(marks, 100), false);
    marks.fail(A, 100);
    assert.equal(isOut(marks, 100), true);
    assert.equal(isOut(marks, 101), false);
  });

  it('who is full is left out until then, whatever it announces, and has no failure', () => {
    const marks = createMarks();
    assert.equal(marks.soonest(0), undefined);
    marks.full(A, 500);
    marks.full('b' as PeerId, 300);
    assert.deepEqual([isOut(marks, 900, A, 499), isOut(marks, 900, A, 500)], [true, false]);
    assert.deepEqual([marks.soonest(0), marks.soonest(300), marks.soonest(500)], [300, 500, undefined]);
  });

  it('each further failure lasts longer, up to a limit; a served generation clears it', () => {
    const marks = createMarks();
    let block = 0;
    const lasts = Array.from({ length: 10 }, () => {
      const announced = block;
      marks.fail(A, announced);
      while (isOut(marks, block)) block += 1;
      return block - announced - 1;
    });
    assert.deepEqual(lasts, [0, 5, 15, 35, 75, 155, 315, 635, 635, 635]);
    marks.clear(A);
    assert.equal(isOut(marks, 0), false);
  });

  it('where there is no other route, who has announced since its last failure is tried again', () => {
    const marks = createMarks();
    for (const announced of [0, 1]) marks.fail(A, announced);
    const alone = (block: number) => isOut(marks, block, A, 0, false);
    assert.deepEqual([isOut(marks, 6), alone(6)], [true, false]);
    marks.fail(A, 3);
    assert.deepEqual([alone(3), alone(4)], [true, false], 'not again by the same announce');
    marks.full(A, 500);
    assert.equal(alone(10), true, 'who is full has no room, whatever others lack');
  });

  it('one death that ends many sessions is one failure', () => {
    const marks = createMarks();
    for (let session = 0; session < 8; session += 1) marks.fail(A, 100);
    assert.deepEqual([isOut(marks, 100), isOut(marks, 101)], [true, false]);
    for (let session = 0; session < 8; session += 1) marks.fail(A, 101);
    assert.deepEqual([isOut(marks, 106), isOut(marks, 107)], [true, false]);
  });

  it('remembers a bounded number of peers, the latest', () => {
    const marks = createMarks();
    marks.fail(A, 5);
    for (let i = 0; i < 512; i += 1) marks.fail(`p${i}` as PeerId, 5);
    assert.equal(isOut(marks, 5), false);
    assert.equal(isOut(marks, 5, 'p0' as PeerId), true);
  });
});
