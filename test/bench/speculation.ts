// `npm run bench -- speculation`: guesses against none on a route of four hops, 30 ms from each to the next and to the client. The bundled
// model, one shard per hop, all in this process; the same tokens are checked for.

import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { startDelayedRoute } from './delayed-route.ts';
import { createReport, median } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const MODEL = new URL('../../models/tiny', import.meta.url).pathname;
const HOP_MS = 30;
const TOKENS = 64;
const ROUNDS = 2;
const PATIENCE_MS = 3_000;
const BEGINNING =
  'Once upon a time, there was a brave beetle named Maya. She lived under a flat stone. Maya was afraid of the dark. The beetle told nobody about it. One evening Maya sat at home and could not sleep. She was thinking of the dark. A gentle parrot came to visit. "Why are you shaking?" asked the parrot. "I am afraid of the dark,"';
const END =
  ' said Maya very quietly. "I was afraid too when I was little," said the parrot. "It helps to sing a song." So the beetle and the parrot sang a song, and then another one. Little by little, Maya felt better. "I am not afraid any more," said the beetle.';
/** A story that is told again, and one that is new: there guesses hardly help, and must not harm. */
const CASES = [
  { name: 'again', prompt: `${BEGINNING}${END} ${BEGINNING}`, bar: 1.5 },
  { name: 'new', prompt: 'Once upon a time', bar: 0.95 },
] as const;

export async function benchSpeculation({ json, only }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const model = await openModel(MODEL);
  const tokenizer = await openTokenizer(model);
  const rig = await startDelayedRoute({ model, hopMs: HOP_MS, copies: 1 });
  try {
    for (const { name, prompt, bar } of CASES.filter((one) => only === undefined || one.name.includes(only))) {
      const ids = tokenizer.encode(prompt);
      const quiet = await waitForQuiet(PATIENCE_MS);
      const samples: number[] = [];
      let [plain, guessed] = [0, 0];
      for (let round = 0; round <= ROUNDS; round += 1) {
        const without = await rig.run(ids, TOKENS, 0);
        const guesses = await rig.run(ids, TOKENS, undefined);
        if (without.tokens.join() !== guesses.tokens.join()) throw new Error('guesses changed the tokens');
        if (round === 0) continue;
        [plain, guessed] = [without.perSecond, guesses.perSecond];
        samples.push(guesses.perSecond / without.perSecond);
      }
      const facts = { plain: Math.round(plain * 10) / 10, guessed: Math.round(guessed * 10) / 10, tokens: TOKENS };
      const figure = { value: median(samples), unit: 'ratio', bar, better: 'higher', quiet, samples, facts } as const;
      report.add({ name: `speculation.${name}`, ...figure });
    }
  } finally {
    await rig.close();
  }
  return report.exitCode();
}
