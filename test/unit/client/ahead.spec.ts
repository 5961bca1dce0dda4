import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createAhead, rowsPaid } from '../../../src/client/ahead.ts';
import { planGeneration } from '../../../src/client/generation.ts';
import { callsFromStart, nextCall } from '../../../src/client/pattern.ts';
import type { RemoteSession } from '../../../src/client/session.ts';
import type { NodeId, PeerId, ShardIndex } from '../../../src/types/ids.ts';
import { GREEDY } from './net.ts';

const never = new AbortController().signal;
type Next = (rows: readonly number[]) => number;

/** A route whose token is a function of all rows; it lives by the rules of positions that hosters keep. */
function sessionOf(next: Next) {
  const rows: number[] = [];
  const draws: number[] = [];
  const session: Pick<RemoteSession, 'draw'> = {
    async draw(calls) {
      for (const { position, ids } of calls) {
        assert.ok(position <= rows.length && rows.length - position <= 16, `at ${position} of ${rows.length}`);
        rows.length = position;
        rows.push(...ids);
      }
      draws.push(rows.length);
      return { ok: true, value: { id: next(rows), logprob: -1 } };
    },
  };
  return { session, draws };
}

async function generate(prompt: readonly number[], maxTokens: number, next: Next, most: number | undefined) {
  const plan = planGeneration(prompt, { ...GREEDY, maxTokens }, 500);
  const ahead = createAhead(plan, { most, paid: () => undefined });
  const { session, draws } = sessionOf(next);
  const generated: number[] = [];
  let laps = 0;
  while (generated.length < plan.maxTokens) {
    const before = draws.length;
    const calls = generated.length === 0 ? callsFromStart(prompt, []) : [nextCall(prompt, generated)];
    const drawn = await ahead.next(session, calls, generated, never);
    if (draws.length > before) laps += 1;
    assert.ok(drawn.ok);
    generated.push(drawn.value.id);
  }
  return { generated, laps, longest: Math.max(...draws), guesses: ahead.guesses };
}

describe('client: drawing ahead', () => {
  const cycle: Next = (rows) => ((rows.at(-1) ?? 0) + 1) % 5;

  it('a text that repeats itself takes fewer laps', async () => {
    const [plain, guessed] = [await generate([0], 60, cycle, 0), await generate([0], 60, cycle, undefined)];
    assert.deepEqual(guessed.generated, plain.generated);
    assert.equal(plain.laps, 60);
    assert.ok(guessed.laps <= 16, `${guessed.laps} laps`);
    assert.deepEqual(plain.guesses, { right: 0, wrong: 0 });
    assert.deepEqual(guessed.guesses, { right: 60 - guessed.laps, wrong: 0 });
  });

  it('nothing that was drawn ahead outlives its session', async () => {
    // Two words over and over, so that several guesses follow.
    const prompt = [1, 2, 1, 2, 1, 2];
    const plan = planGeneration(prompt, { ...GREEDY, maxTokens: 20 }, 500);
    const ahead = createAhead(plan, { most: 4, paid: () => undefined });
    const { session, draws } = sessionOf((rows) => 3 - (rows.at(-1) ?? 0));
    await ahead.next(session, callsFromStart(prompt, []), [], never);
    const before = draws.length;
    assert.ok(before > 2);
    await ahead.next(session, [nextCall(prompt, [1])], [1], never);
    assert.equal(draws.length, before, 'the guess was right');
    ahead.clear();
    await ahead.next(session, [nextCall(prompt, [1, 2])], [1, 2], never);
    assert.ok(draws.length > before);
  });

  it('whatever the model says next, the tokens are those without guesses, within the positions reserved', async () => {
    const prompts = fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        prompts,
        fc.nat({ max: 40 }),
        fc.nat(),
        fc.nat({ max: 12 }),
        async (prompt, tokens, seed, most) => {
          const next: Next = (rows) => rows.slice(-3).reduce((sum, row, i) => sum * 7 + row * (i + seed), seed) % 4;
          const maxTokens = tokens + 1;
          const [plain, guessed] = [
            await generate(prompt, maxTokens, next, 0),
            await generate(prompt, maxTokens, next, most),
          ];
          assert.deepEqual(guessed.generated, plain.generated);
          assert.ok(guessed.longest <= prompt.length + maxTokens);
        },
      ),
    );
  });

  it('rows are paid for by the network: as many as the slowest hop computes in that time', () => {
    const hop = (node: number, from: number, to: number) => ({
      node: node as NodeId,
      peer: `p${node}` as PeerId,
      from: from as ShardIndex,
      to: to as ShardIndex,
    });
    const route = [hop(1, 0, 1), hop(2, 1, 4)];
    const first = ['p1' as PeerId, { hopUs: 30_000, rowUs: 4_000 }] as const;
    assert.equal(rowsPaid(route, new Map([first, ['p2' as PeerId, { hopUs: 31_000, rowUs: 2_000 }]])), 10);
    assert.equal(rowsPaid(route, new Map([first])), undefined);
    assert.equal(rowsPaid([], new Map()), undefined);
  });
});
