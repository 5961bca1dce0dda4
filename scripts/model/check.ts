// Applies the rule of models/tiny/README.md to its 200 prompts at temperature 0: `npm run model:check [-- MODEL_DIR]`. The same rule as rule.py.
// Figures go to stdout as JSON, failed texts to stderr; exits 1 below the bar.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine, KvSession } from '../../src/engine/types.ts';
import { cutShards } from '../../src/model/manifest.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { GREEDY, sampleToken } from '../../src/model/sample.ts';
import { type ModelTokenizer, openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { createLog } from '../../src/util/log.ts';

/** The rule's bound: a story that has not ended after so many tokens has not ended by itself. */
const MAX_NEW_TOKENS = 240;
/** Share of prompts that must pass, in each kind. */
const BAR = 0.9;
/** Sessions at work together: two full batches of the engine. */
const TOGETHER = 32;

const promptSchema = z.object({
  text: z.string(),
  kind: z.enum(['plain', 'chat']),
  name: z.string(),
  animal: z.string(),
});
const listsSchema = z.object({
  prompts: z.array(promptSchema).min(1),
  names: z.array(z.string()),
  animals: z.array(z.string()),
  sentenceStarts: z.array(z.string()),
});
type Prompt = z.infer<typeof promptSchema>;
type Lists = z.infer<typeof listsSchema>;

interface Outcome {
  readonly prompt: Prompt;
  readonly text: string;
  /** Parts of the rule that do not hold. */
  readonly failed: readonly string[];
  readonly tokens: number;
}

async function main([
  folder = fileURLToPath(new URL('../../models/tiny', import.meta.url)),
]: readonly string[]): Promise<number> {
  const lists = listsSchema.parse(JSON.parse(await readFile(join(folder, 'prompts.json'), 'utf8')));
  const model = await openModel(folder);
  const tokenizer = await openTokenizer(model);
  const engine = await createOnnxEngine(
    { model, cut: DEFAULT_CUT, device: 'cpu' },
    { log: createLog({ level: 'warn' }) },
  );
  const started = performance.now();
  try {
    const outcomes = await runAll(engine, model, tokenizer, lists);
    for (const { prompt, failed, text } of outcomes.filter((outcome) => outcome.failed.length > 0))
      process.stderr.write(`${JSON.stringify({ prompt: prompt.text, failed, text })}\n`);
    const figures = summary(outcomes, performance.now() - started);
    process.stdout.write(`${JSON.stringify({ manifest: model.hash, ...figures })}\n`);
    return figures.plain >= BAR && figures.chat >= BAR ? 0 : 1;
  } finally {
    await engine.close();
  }
}

/** A fixed number of sessions takes the prompts one after the other. */
async function runAll(engine: Engine, model: Model, tokenizer: ModelTokenizer, lists: Lists): Promise<Outcome[]> {
  const shards = cutShards(model.manifest, DEFAULT_CUT).map((_, index) => index as ShardIndex);
  await engine.load(shards);
  const range = { from: 0 as ShardIndex, to: shards.length as ShardIndex };
  const outcomes: Outcome[] = [];
  const queue = [...lists.prompts];
  const work = async () => {
    const session = await engine.openSession(range, {
      maxTokens: model.manifest.shape.maxContext,
      owner: 'check',
      codec: 'f16',
    });
    for (let prompt = queue.shift(); prompt !== undefined; prompt = queue.shift()) {
      session.truncate(0);
      outcomes.push(await runOne(session, tokenizer, prompt, lists));
    }
    await session.release();
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
  return outcomes;
}

async function runOne(session: KvSession, tokenizer: ModelTokenizer, prompt: Prompt, lists: Lists): Promise<Outcome> {
  const written: number[] = [];
  let next =
    prompt.kind === 'plain'
      ? tokenizer.encodePrompt(prompt.text)
      : tokenizer.encodeChat([{ role: 'user', content: prompt.text }]);
  while (written.length < MAX_NEW_TOKENS) {
    const result = await session.step(session.length, { kind: 'tokens', ids: Int32Array.from(next) });
    if (result.kind !== 'top') throw new RangeError('the shards do not end the model');
    const { id } = sampleToken(result.top, GREEDY, session.length);
    if (tokenizer.eos.includes(id)) return judge(prompt, tokenizer.decode(written), true, lists, written.length);
    written.push(id);
    next = [id];
  }
  return judge(prompt, tokenizer.decode(written), false, lists, written.length);
}

function judge(prompt: Prompt, text: string, ended: boolean, lists: Lists, tokens: number): Outcome {
  const words = new Set(text.match(/[A-Za-z]+/g));
  const capitalised = [...new Set(text.match(/\b[A-Z][A-Za-z]*/g))].filter((word) => word !== prompt.name);
  const parts = {
    name: words.has(prompt.name),
    animal: words.has(prompt.animal),
    'no other hero': capitalised.every((word) => !lists.names.includes(word) && lists.sentenceStarts.includes(word)),
    ended,
  };
  const failed = Object.entries(parts).flatMap(([part, holds]) => (holds ? [] : [part]));
  return { prompt, text, failed, tokens };
}

function summary(outcomes: readonly Outcome[], ms: number) {
  const share = (some: readonly Outcome[]) =>
    some.filter((outcome) => outcome.failed.length === 0).length / Math.max(1, some.length);
  const tokens = outcomes.reduce((sum, outcome) => sum + outcome.tokens, 0);
  return {
    prompts: outcomes.length,
    passed: share(outcomes),
    plain: share(outcomes.filter(({ prompt }) => prompt.kind === 'plain')),
    chat: share(outcomes.filter(({ prompt }) => prompt.kind === 'chat')),
    bar: BAR,
    tokens,
    seconds: Math.round(ms / 100) / 10,
    tokensPerSecond: Math.round((tokens / ms) * 1000),
  };
}

process.exitCode = await main(process.argv.slice(2));
