// `npm run bench -- speculation`: guesses against none on a route of four hops, 30 ms from each to the next and to the client. The bundled
// model, one shard per hop, all in this process; the same tokens are checked for.

import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { loadDraft } from '../../src/node/draft.ts';
import { silentLog } from '../../src/util/log.ts';
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
/**
 * A story that is told again, and one that is new: there guesses from the text hardly help, and must not harm. Guesses of the draft table beside the model
 * are right about two times in three.
 */
const CASES = [
  { name: 'again', prompts: [`${BEGINNING}${END} ${BEGINNING}`], guesses: 'text', bar: 1.5 },
  { name: 'new', prompts: ['Once upon a time'], guesses: 'text', bar: 0.95 },
  {
    name: 'draft',
    prompts: [
      'Once upon a time',
      'One evening a tired miller',
      'There was once a fox who',
      'In the garden behind the house',
    ],
    guesses: 'draft',
    bar: 1.8,
  },
] as const;

export async function benchSpeculation({ json, only }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const model = await openModel(MODEL);
  const tokenizer = await openTokenizer(model);
  const draft = await loadDraft(model, silentLog);
  if (draft === undefined) throw new Error('the bundled model has no draft table: npm run model:draft -- models/tiny');
  const rig = await startDelayedRoute({ model, hopMs: HOP_MS, copies: 1, draft });
  try {
    for (const { name, prompts, guesses, bar } of CASES.filter(
      (one) => only === undefined || one.name.includes(only),
    )) {
      const quiet = await waitForQuiet(PATIENCE_MS);
      const samples: number[] = [];
      const [plain, guessed]: [number[], number[]] = [[], []];
      let [right, wrong] = [0, 0];
      for (let round = 0; round <= Math.max(ROUNDS, prompts.length); round += 1) {
        const ids = tokenizer.encodePrompt(prompts[round % prompts.length] ?? '');
        const without = await rig.run(ids, TOKENS, 'none');
        const ahead = await rig.run(ids, TOKENS, guesses);
        if (without.tokens.join() !== ahead.tokens.join()) throw new Error('guesses changed the tokens');
        if (round === 0) continue;
        plain.push(without.perSecond);
        guessed.push(ahead.perSecond);
        right += ahead.guesses.right;
        wrong += ahead.guesses.wrong;
        samples.push(ahead.perSecond / without.perSecond);
      }
      const rounded = (value: number): number => Number(value.toPrecision(3));
      const speeds = { plain: rounded(median(plain)), guessed: rounded(median(guessed)), tokens: TOKENS };
      const facts = { acceptance: rounded(right / Math.max(1, right + wrong)), ...speeds };
      const figure = { value: median(samples), unit: 'ratio', bar, better: 'higher', quiet, samples, facts } as const;
      report.add({ name: `speculation.${name}`, ...figure });
    }
  } finally {
    await rig.close();
  }
  return report.exitCode();
}
