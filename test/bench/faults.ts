// `npm run bench -- faults`: tokens per second while hops fail, beside an undisturbed run: a route of four hops, 30 ms from each to the next and to
// the client, each shard at three hosters; for every token one of the hops fails with a given probability, once. The tokens are compared.

import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { startDelayedRoute } from './delayed-route.ts';
import { createReport } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const MODEL = new URL('../../models/tiny', import.meta.url).pathname;
const HOP_MS = 30;
const HOPS = 4;
const COPIES = 3;
const TOKENS = 256;
const PATIENCE_MS = 3_000;
/** Generations of each kind: at 1e-3 some of them have no failure at all. */
const ROUNDS = 4;
const CASES = [
  { name: '1e-3', rate: 1e-3, bar: 0.95 },
  { name: '1e-2', rate: 1e-2, bar: 0.5 },
] as const;

export async function benchFaults({ json, only, note }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const model = await openModel(MODEL);
  const tokenizer = await openTokenizer(model);
  const prompt = tokenizer.encodePrompt('Once upon a time');
  const random = createRandom(20_261_121);
  /** Position -> the hop that fails there, once. */
  const failures = new Map<number, number>();
  const fails = (position: number, hop: number) => failures.get(position) === hop && failures.delete(position);
  function plan(rate: number): void {
    failures.clear();
    for (let at = prompt.length; at < prompt.length + TOKENS; at += 1) {
      if (random() < rate) failures.set(at, Math.floor(random() * HOPS));
    }
  }

  const rig = await startDelayedRoute({ model, hopMs: HOP_MS, copies: COPIES, fails });
  try {
    for (const { name, rate, bar } of CASES.filter((one) => only === undefined || one.name === only)) {
      const quiet = await waitForQuiet(PATIENCE_MS);
      const samples: number[] = [];
      let [undisturbed, disturbed, failovers] = [0, 0, 0];
      for (let round = 0; round < ROUNDS; round += 1) {
        plan(0);
        const without = await rig.run(prompt, TOKENS, 'none');
        plan(rate);
        const faulty = await rig.run(prompt, TOKENS, 'none');
        if (without.tokens.join() !== faulty.tokens.join()) throw new Error('failures changed the tokens');
        undisturbed += 1 / without.perSecond;
        disturbed += 1 / faulty.perSecond;
        failovers += faulty.failovers;
        samples.push(faulty.perSecond / without.perSecond);
        note(`${name}: ${round + 1} of ${ROUNDS} rounds, ${failovers} failovers`);
      }
      const facts = { tokens: TOKENS * ROUNDS, failovers };
      report.add({
        name: `faults.${name}`,
        value: undisturbed / disturbed,
        unit: 'ratio',
        bar,
        better: 'higher',
        quiet,
        samples,
        facts,
      });
    }
  } finally {
    await rig.close();
  }
  return report.exitCode();
}

/** Numbers in [0, 1) (Lehmer generator). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state / 0x7fff_ffff;
  };
}
