// Our side: the engine as a node uses it, worker thread, scheduler and sessions included.

import { createOnnxEngine } from '../../../src/engine/onnx.ts';
import type { KvSession } from '../../../src/engine/types.ts';
import { cutShards } from '../../../src/model/manifest.ts';
import { openModel } from '../../../src/model/open.ts';
import { DEFAULT_CUT } from '../../../src/model/write.ts';
import type { ShardIndex } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';
import { rate, type Setup, type Subject, serve, token } from './runner.ts';

async function create({ model: folder, threads }: Setup): Promise<Subject> {
  const model = await openModel(folder);
  const { manifest } = model;
  const shards = cutShards(manifest, DEFAULT_CUT);
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads, device: 'cpu' }, { log: silentLog });
  const begin = performance.now();
  await engine.load(shards.map((_, index) => index as ShardIndex));
  const loadMs = Math.round(performance.now() - begin);
  const sessions: KvSession[] = [];
  const session = async (i: number): Promise<KvSession> => {
    const range = { from: 0 as ShardIndex, to: shards.length as ShardIndex };
    sessions[i] ??= await engine.openSession(range, {
      maxTokens: i === 0 ? manifest.shape.maxContext : 256,
      owner: 'bench',
      codec: 'f16',
    });
    return sessions[i];
  };
  const fill = async (one: KvSession, context: number) => {
    one.truncate(Math.min(context, one.length));
    if (one.length < context) await feed(one, context - one.length);
  };
  const feed = (one: KvSession, count: number) =>
    one.step(one.length, { kind: 'tokens', ids: Int32Array.from({ length: count }, (_, i) => token(one.length + i)) });
  const decode = async (one: KvSession, steps: number) => {
    for (let i = 0; i < steps; i++) await feed(one, 1);
  };
  return {
    about: { engine: `onnxruntime-node ${engine.info.version}`, threads, format: shards[0]?.format, loadMs },
    async run(job) {
      if (job.kind === 'prefill') {
        const one = await session(0);
        one.truncate(0);
        return rate(job.tokens, async () => void (await feed(one, job.tokens)));
      }
      const count = job.kind === 'batch' ? job.sessions : 1;
      // The long session stays out of batches: those share a pool of small caches.
      const chosen = await Promise.all(Array.from({ length: count }, (_, i) => session(count === 1 ? 0 : i + 1)));
      for (const one of chosen) await fill(one, job.context);
      await Promise.all(chosen.map((one) => decode(one, 2)));
      return rate(count * job.steps, async () => void (await Promise.all(chosen.map((one) => decode(one, job.steps)))));
    },
  };
}

await serve(create);
