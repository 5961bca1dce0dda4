// `npm run model:draft -- FOLDER [--texts N] [--order N] [--start TEXT]...`: lets a model of the Llama family write texts, learns which token mostly follows
// which run of tokens, and puts the table beside the model. Clients guess ahead with it (docs/models.md).

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { learnDraftTable } from '../../src/client/draft-table.ts';
import { generateLocal } from '../../src/client/local.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { cutShards } from '../../src/model/manifest.ts';
import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { draftFile } from '../../src/node/draft.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';

const STARTS = ['Once upon a time', 'One day', 'There was once', 'In the morning'];
const TOKENS = 400;
/** Texts written side by side: decodes run together. */
const AT_ONCE = 48;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    texts: { type: 'string', default: '800' },
    order: { type: 'string', default: '3' },
    start: { type: 'string', multiple: true, default: STARTS },
  },
});
const [folder] = positionals;
if (folder === undefined)
  throw new Error('usage: npm run model:draft -- FOLDER [--texts N] [--order N] [--start TEXT]...');
const model = await openModel(folder);
const tokenizer = await openTokenizer(model);
const shards = cutShards(model.manifest, DEFAULT_CUT);
const { vocab, maxContext } = model.manifest.shape;
const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu' }, { log: silentLog });
try {
  await engine.load(shards.map((_, shard) => shard as ShardIndex));
  const texts: number[][] = [];
  const count = Number(values.texts);
  const facts = { vocab, maxContext, shardCount: shards.length };
  let next = 0;
  const write = async (): Promise<void> => {
    for (let place = next++; place < count; place = next++) {
      const prompt = tokenizer.encodePrompt(values.start[place % values.start.length] ?? '');
      const sampling = { maxTokens: TOKENS, temperature: 1, topK: 0, topP: 1, seed: BigInt(place) };
      const wanted = { ...sampling, stopIds: tokenizer.eos };
      const text = [...prompt];
      for await (const { id } of generateLocal(engine, facts, prompt, wanted, new AbortController().signal))
        text.push(id);
      texts.push(text);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, write));
  const table = learnDraftTable(texts, Number(values.order), vocab);
  await writeFile(draftFile(model), table);
  const tokens = texts.reduce((sum, text) => sum + text.length, 0);
  process.stdout.write(`${draftFile(model)}: ${table.length} bytes from ${count} texts of ${tokens} tokens\n`);
} finally {
  await engine.close();
}
