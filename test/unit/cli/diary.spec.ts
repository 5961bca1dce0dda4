import assert from 'node:assert/strict';
import { addOutcome, type Diary } from '../../../src/cli/diary.ts';
import { describeOutcome, eventLine } from '../../../src/cli/words.ts';
import type { Epoch } from '../../../src/types/ids.ts';

describe('diary of a node', () => {
  const empty: Diary = { subnet: 1, node: 2, epochs: [] };
  const at = (epoch: number) => epoch as Epoch;

  it('keeps outcomes by epoch, once each, of the last 64 epochs', () => {
    let diary = empty;
    for (let epoch = 0; epoch < 70; epoch++) diary = addOutcome(diary, { type: 'committed', epoch: at(epoch) });
    diary = addOutcome(diary, { type: 'committed', epoch: at(69) });
    diary = addOutcome(diary, { type: 'missed', epoch: at(68), duty: 'work', why: 'no-answer' });
    assert.equal(diary.epochs.length, 64);
    assert.equal(diary.epochs[0]?.epoch, 6);
    assert.equal(diary.epochs[63]?.outcomes.length, 1);
    assert.deepEqual(
      diary.epochs[62]?.outcomes.map(({ type }) => type),
      ['committed', 'missed'],
    );
  });

  it('says what a running node reports in one line, faults in words', () => {
    const faults = [{ why: 'missing', kind: 'hc' }, { why: 'equivocator' }] as const;
    const line = eventLine({ type: 'judged', epoch: at(7), score: 0n, faults });
    assert.match(line, /^judged {4}epoch 7, score 0, faults .*; .*signed two different records/);
    assert.match(eventLine({ type: 'judged', epoch: at(7), score: 5n, faults: [] }), /score 5, faults none$/);
    assert.equal(eventLine({ type: 'committed', epoch: at(7) }), 'committed epoch 7');
  });

  it('says an outcome in words, also of a code that is new', () => {
    assert.match(describeOutcome({ type: 'missed', epoch: at(1), duty: 'work', why: 'no-seed' }), /not final in time/);
    assert.match(describeOutcome({ type: 'abstained', epoch: at(1), code: 'PROPOSAL_OMITS' }), /leaves out/);
    assert.equal(describeOutcome({ type: 'witnessed', epoch: at(1), kind: 'wa' }), 'witnessed wa');
  });
});
