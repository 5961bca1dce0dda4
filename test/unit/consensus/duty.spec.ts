// The duty of an epoch as a table of stories: what a node does at each head, and what it says when it could not (protocol.md 2, 6, 9).

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Duty,
  type DutyEvent,
  type Effect,
  type EpochParams,
  IDLE,
  type Signed,
  step,
} from '../../../src/consensus/duty.ts';
import { windowsOf } from '../../../src/consensus/phase.ts';
import type { Epoch } from '../../../src/types/ids.ts';

const E = 7 as Epoch;
const HOSTER: EpochParams = { windows: windowsOf(20), hosts: true };
const ATTESTOR: EpochParams = { windows: windowsOf(20), hosts: false };
const NOTHING: Signed = { pr: false, hc: false, hr: false, wa: false, wb: false, sc: false, lastSc: false, sr: false };

function head(offset: number, signed: Partial<Signed> = {}, epoch: number = E): DutyEvent {
  return { type: 'head', epoch: epoch as Epoch, offset, signed: { ...NOTHING, ...signed } };
}

const ready: DutyEvent = { type: 'ready', epoch: E, member: true, live: true };
const news = (
  type: 'answered' | 'unanswered' | 'undrawn' | 'scored' | 'unscored' | 'elected' | 'proposed' | 'proposal',
): DutyEvent => ({
  type,
  epoch: E,
});

/** What was done, in words: `commit`, `committed!`, `missed work no-seed!`. */
function words(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    if (effect.do === 'report') {
      const { outcome } = effect;
      if (outcome.type === 'missed') return [`missed ${outcome.duty} ${outcome.why}!`];
      if (outcome.type === 'witnessed') return [];
      return [outcome.type === 'abstained' ? `abstained ${outcome.code}!` : `${outcome.type}!`];
    }
    if (effect.do === 'gather') return [`gather ${effect.kind} ${effect.epoch}`];
    return [effect.do === 'witness' ? effect.kind : effect.do];
  });
}

function play(events: readonly DutyEvent[], params = HOSTER, from: Duty = IDLE) {
  let duty = from;
  const told: string[][] = [];
  for (const event of events) {
    const next = step(duty, event, params);
    duty = next.duty;
    told.push(words(next.effects));
  }
  return { duty, told, all: told.flat() };
}

function without(told: readonly string[], ...noise: string[]): string[] {
  return told.filter((one) => !noise.includes(one) && !/^(gather|missed w[ab]|w[ab]$|prompt$)/.test(one));
}

describe('duty of a hoster', () => {
  it('infers when the seed is final, commits, reveals after the closing block, scores', () => {
    const { told } = play([
      head(0),
      head(2),
      ready,
      news('answered'),
      head(3),
      head(9),
      head(10),
      head(11),
      head(13),
      head(15),
      news('scored'),
    ]);
    assert.deepEqual(
      told.map((one) => without(one, 'look')),
      [
        ['read'],
        ['read'],
        ['infer'],
        [],
        ['commit', 'committed!'],
        [],
        [],
        ['reveal', 'revealed!'],
        [],
        ['score'],
        ['scored!'],
      ],
    );
  });

  it('commits at once when the answer comes inside the window', () => {
    const { all } = play([head(8), ready, news('answered')]);
    assert.deepEqual(without(all, 'look', 'read'), ['infer', 'commit', 'committed!']);
  });

  it('asks peers in the last two blocks of every window', () => {
    const asked = (offset: number) => play([head(offset)]).all.filter((one) => one.startsWith('gather'));
    assert.deepEqual([7, 8, 9, 10].map(asked), [[], ['gather hc 7'], ['gather hc 7'], []]);
    assert.deepEqual([10, 11, 12, 13].map(asked), [
      [],
      ['gather hr 7', 'gather sr 6', 'gather wa 7'],
      ['gather hr 7', 'gather sr 6', 'gather wa 7'],
      [],
    ]);
    assert.deepEqual([17, 18, 19].map(asked), [
      [],
      ...[18, 19].map(() => ['gather sc 7', 'gather wb 7', 'gather au 7']),
    ]);
  });

  for (const [name, events, expected] of [
    ['no final seed by the end of the window', [head(0), head(10)], ['missed work no-seed!']],
    [
      'an answer that comes too late',
      [head(0), ready, head(10), news('answered')],
      ['infer', 'missed work no-answer!'],
    ],
    [
      'an engine that fails at every head',
      [head(4), ready, news('unanswered'), head(5), news('unanswered'), head(10)],
      ['infer', 'infer', 'missed work no-answer!'],
    ],
    [
      'an engine that was busy once',
      [head(4), ready, news('unanswered'), head(5), news('answered')],
      ['infer', 'infer', 'commit', 'committed!'],
    ],
    [
      'a commit window that no head fell into',
      [head(0), ready, news('answered'), head(12)],
      ['infer', 'missed work window-skipped!'],
    ],
    [
      'a reveal window that no head fell into',
      [head(4), ready, news('answered'), head(15)],
      ['infer', 'commit', 'committed!', 'missed work window-skipped!', 'score'],
    ],
    ['a start in mid epoch', [head(10)], ['missed work late-start!']],
    ['an auditor that is not drawn', [head(1), ready, news('undrawn'), head(5), head(10)], ['infer']],
    ['no seat', [head(1), { ...ready, member: false }, head(13)], ['missed work not-in-roster!']],
    ['an epoch without election', [head(1), { ...ready, live: false }, head(13)], []],
  ] as const) {
    it(`does what it can and says what it cannot: ${name}`, () => {
      assert.deepEqual(without(play(events).all, 'look', 'read'), expected);
    });
  }

  it('goes on after a restart where the journal says it was', () => {
    assert.deepEqual(without(play([head(8, { hc: true }), ready, head(11)]).all, 'look', 'read'), [
      'reveal',
      'revealed!',
    ]);
    assert.deepEqual(without(play([head(12, { hc: true, hr: true }), ready]).all, 'look', 'read'), []);
    assert.deepEqual(without(play([head(15, { hc: true, hr: true, sc: true }), ready]).all, 'look', 'read'), []);
  });

  it('opens the scores of the epoch before, in the reveal window and only when there are any', () => {
    const opened = (signed: Partial<Signed>) =>
      without(play([head(0, signed), head(10), head(11), head(12)], ATTESTOR).all, 'look', 'read');
    assert.deepEqual(opened({}), []);
    assert.deepEqual(opened({ lastSc: true }), ['open', 'opened!']);
    assert.deepEqual(opened({ lastSc: true, sr: true }), []);
    const late = play([head(0, { lastSc: true }), head(13)], ATTESTOR).all;
    assert.deepEqual(without(late, 'look', 'read'), ['missed opening window-skipped!']);
  });

  it('scores when the second witnesses have had two blocks to come, or peers are asked for the last time', () => {
    const scores = (offset: number, params?: Parameters<typeof play>[1]) =>
      play([head(offset), ready], params).all.includes('score');
    assert.deepEqual(
      [13, 14, 15, 19].map((offset) => scores(offset)),
      [false, false, true, true],
    );
    const short = { windows: windowsOf(10), hosts: false };
    assert.deepEqual(
      [7, 8, 9].map((offset) => scores(offset, short)),
      [false, true, true],
    );
  });

  it('tries to score again at the next head, not at once', () => {
    const { told } = play([head(15), ready, news('unscored'), head(16), news('scored'), head(17)], ATTESTOR);
    assert.deepEqual(
      told.map((one) => without(one, 'look', 'read')),
      [[], ['score'], [], ['score'], ['scored!'], []],
    );
  });

  it('tells at the end of an epoch what stayed undone', () => {
    const { all } = play([head(4), ready, news('answered'), head(0, {}, E + 1)]);
    assert.deepEqual(without(all, 'look', 'read').slice(3), [
      'missed work window-skipped!',
      'missed scores window-skipped!',
      'missed submission no-proposal!',
    ]);
  });
});

describe('duty of the prompt', () => {
  const told = (events: readonly DutyEvent[]) => play(events, ATTESTOR).told.map((one) => one.includes('prompt'));

  it("is the proposer's when the seed is final", () => {
    assert.deepEqual(told([head(0), news('elected'), head(2), ready, head(3)]), [false, false, false, true, false]);
    assert.deepEqual(told([head(2), ready, news('proposed'), head(3)]), [false, false, true, false]);
  });

  it("is anybody's a tenth of the epoch later", () => {
    assert.deepEqual(told([head(2), ready, head(3), head(4), head(5)]), [false, false, false, true, false]);
    assert.deepEqual(told([head(2, { pr: true }), ready, head(4)]), [false, false, false]);
    assert.deepEqual(told([head(2), { ...ready, member: false }, head(4)]), [false, false, false]);
  });
});

describe('duty of a witness', () => {
  const seen = (told: readonly string[]) => told.filter((one) => /w[ab]( |$)/.test(one) && !one.startsWith('gather'));

  it('says what it held in the block in which each list closes', () => {
    const { told } = play([head(4), ready, head(9), head(10), head(11), head(12), head(13), head(14)], ATTESTOR);
    assert.deepEqual(told.map(seen), [[], [], [], ['wa'], [], [], ['wb'], []]);
  });

  for (const [name, events, expected] of [
    ['saw no head while the list was open', [head(2), ready, head(10)], ['missed wa late-start!']],
    ['came after the list closed', [head(11), ready, head(13)], ['missed wa late-start!', 'wb']],
    ['has no head in the window', [head(9), ready, head(13)], ['missed wa window-skipped!', 'missed wb late-start!']],
    ['waits for its roster', [head(9), head(10), ready, head(12)], ['wa']],
    ['has no seat', [head(9), { ...ready, member: false }, head(10), head(13)], []],
    ['is in no live epoch', [head(9), { ...ready, live: false }, head(10), head(13)], []],
    ['has said it before', [head(9, { wa: true, wb: true }), ready, head(10), head(13)], []],
    [
      'never learns its roster',
      [head(9), head(12), head(13), head(0, {}, E + 1)],
      ['missed wa no-roster!', 'missed wb no-roster!'],
    ],
  ] as const) {
    it(`says nothing untrue: who ${name}`, () => assert.deepEqual(seen(play(events, ATTESTOR).all), expected));
  }
});

describe('duty about the submission', () => {
  it('proposes when elected, once', () => {
    const { told } = play(
      [head(0), news('elected'), news('elected'), head(1), news('proposed'), news('proposed')],
      ATTESTOR,
    );
    assert.deepEqual(
      told.map((one) => without(one, 'read')),
      [['look'], ['propose'], [], [], ['proposed!'], []],
    );
  });

  it('checks a proposal, abstains with a code and tries again at the next head', () => {
    const abstained: DutyEvent = { type: 'abstained', epoch: E, code: 'PROPOSAL_MISSING_RECORD' };
    const { told } = play(
      [head(1), news('proposal'), abstained, head(2), news('proposal'), { type: 'attested', epoch: E }, head(3)],
      ATTESTOR,
    );
    assert.deepEqual(
      told.map((one) => without(one, 'read')),
      [['look'], ['check'], ['abstained PROPOSAL_MISSING_RECORD!'], ['look'], ['check'], ['attested!'], ['look']],
    );
  });

  it('does again what a reorganization undid', () => {
    const attested: DutyEvent = { type: 'attested', epoch: E };
    const { told } = play([head(1), news('proposal'), attested, head(2), news('proposal')], ATTESTOR);
    assert.deepEqual(told.at(-1), ['check']);
  });

  it('looks again after the chain refused', () => {
    const { told } = play([head(0), news('elected'), { type: 'retry', epoch: E }, head(1)], ATTESTOR);
    assert.ok(told.at(-1)?.includes('look'));
  });
});

describe('step', () => {
  const anyEvent: fc.Arbitrary<DutyEvent> = fc.oneof(
    fc.tuple(fc.nat({ max: 19 }), fc.integer({ min: 6, max: 9 })).map(([offset, epoch]) => head(offset, {}, epoch)),
    fc.constantFrom<DutyEvent>(
      ready,
      news('answered'),
      news('unanswered'),
      news('scored'),
      news('unscored'),
      news('elected'),
      news('proposed'),
      news('proposal'),
      { type: 'retry', epoch: E },
      { type: 'attested', epoch: E },
      { type: 'voteless', epoch: E },
      { ...ready, member: false },
    ),
  );

  it('never goes back in epochs, never commits twice or outside its window, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        let duty: Duty = IDLE;
        const done = new Map<string, number>();
        for (const event of events) {
          const before = duty.at === 'epoch' ? duty.epoch : -1;
          const { duty: next, effects } = step(duty, event, HOSTER);
          duty = next;
          if (duty.at === 'idle') continue;
          assert.ok(duty.epoch >= before);
          for (const effect of effects) {
            if (effect.do !== 'commit' && effect.do !== 'reveal') continue;
            const name = `${effect.do} ${effect.epoch}`;
            done.set(name, (done.get(name) ?? 0) + 1);
            const [from, to] = effect.do === 'commit' ? [3, 10] : [11, 13];
            assert.ok(duty.offset >= from && duty.offset < to, `${name} at ${duty.offset}`);
          }
        }
        assert.ok([...done.values()].every((times) => times === 1));
      }),
    );
  });
});
