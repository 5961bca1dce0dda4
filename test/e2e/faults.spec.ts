// Sessions survive: hosters in processes of their own are killed, stopped or made to answer nonsense at seeded places of a generation, and
// the tokens are those of an undisturbed run.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GeneratedToken, GenerateOptions } from '../../src/client/generation.ts';
import { generateLocal } from '../../src/client/local.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { type Hops, startHops } from '../support/hops.ts';
import { writeRandomModel } from '../support/random-model.ts';

const PATIENCE_MS = 5 * 60_000;
const HOSTERS = 4;
/** Two prefill steps. */
const PROMPT = Array.from({ length: 80 }, (_, i) => 4 + ((i * 37) % 250));
const TOKENS = 24;
/** A stopped process is noticed by the transport after some seconds, by these for certain. */
const DEADLINES = { openMs: 5_000, stepMs: 5_000, callMs: 200 };
const SEED = Number(process.env.TESSERA_FAULT_SEED ?? 20_261_121);
const RUNS = Number(process.env.TESSERA_FAULT_RUNS ?? 6);
const FAULTS = ['kill', 'stop', 'corrupt'] as const;

/** Integers below a limit (Lehmer generator). */
function createRandom(seed: number): (limit: number) => number {
  let state = (seed % 0x7fff_fffe) + 1;
  return (limit) => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state % limit;
  };
}

describe('faults in mid generation', function () {
  this.timeout(PATIENCE_MS);
  const random = createRandom(SEED);
  let folder: string;
  let model: Model;
  let hops: Hops;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-faults-'));
    await writeRandomModel(folder, { blocks: 4, shards: HOSTERS });
    model = await openModel(folder);
    hops = await startHops(HOSTERS, model, folder, DEADLINES);
  });
  after(async () => {
    await hops?.close();
    rmSync(folder, { recursive: true });
  });

  async function undisturbed(options: GenerateOptions): Promise<GeneratedToken[]> {
    const engine = createReferenceEngine({ model, cut: DEFAULT_CUT });
    await engine.load(hops.peers.map((_, shard) => shard as ShardIndex));
    const { maxContext } = model.manifest.shape;
    const never = new AbortController().signal;
    return Array.fromAsync(generateLocal(engine, { shardCount: HOSTERS, maxContext }, PROMPT, options, never));
  }

  for (let run = 0; run < RUNS; run += 1) {
    const fault = FAULTS[run % FAULTS.length] ?? 'kill';
    const [hop, at, seed] = [random(2), 1 + random(TOKENS - 2), BigInt(random(1_000_000))];
    it(`seed ${SEED}, run ${run}: ${fault} hop ${hop} after ${at} tokens`, async () => {
      await hops.mend();
      const options = { maxTokens: TOKENS, temperature: 0.8, topK: 20, topP: 0.9, seed, stopIds: [] };
      const generation = hops.client.generate(PROMPT, options, AbortSignal.timeout(PATIENCE_MS));
      const tokens: GeneratedToken[] = [];
      for await (const token of generation) {
        tokens.push(token);
        if (tokens.length !== at) continue;
        const place = hops.peers.indexOf(generation.route[hop]?.peer ?? hops.peers[0] ?? ('' as never));
        if (fault === 'corrupt') hops.corrupt(place, PROMPT.length + at);
        else hops.signal(place, fault === 'kill' ? 'SIGKILL' : 'SIGSTOP');
      }
      assert.deepEqual(tokens, await undisturbed(options));
      assert.ok(generation.failovers >= 1, 'the fault was felt');
    });
  }
});
