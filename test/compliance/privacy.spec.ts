// What `--keep-ends` hides and what it does not (docs/clients.md): strangers get hidden states and no tokens. The leak is measured by the attack
// that anybody with the model can make: which token, behind those found so far, gives the rows that came?

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine, KvSession } from '../../src/engine/types.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { type ModelTokenizer, openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';

const BUNDLED = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const FIRST = { from: 0 as ShardIndex, to: 1 as ShardIndex };
const TEXT = 'Once upon a time, Maya lost';

describe('privacy by placement', function () {
  this.timeout(120_000);
  let model: Model;
  let tokenizer: ModelTokenizer;
  let engine: Engine;

  before(async () => {
    model = await openModel(BUNDLED);
    tokenizer = await openTokenizer(model);
    engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu', threads: 1 }, { log: silentLog });
    await engine.load([FIRST.from]);
  });
  after(() => engine?.close());

  async function border(kv: KvSession, ids: readonly number[]): Promise<Float32Array> {
    const result = await kv.step(kv.length, { kind: 'tokens', ids: Int32Array.from(ids) });
    assert.ok(result.kind === 'hidden');
    return result.data;
  }

  /** What the second hop of a route gets of these tokens, as a client sends them: all in one step. */
  async function seenByTheNextHop(ids: readonly number[]): Promise<Float32Array> {
    const kv = await engine.openSession(FIRST, { maxTokens: ids.length, owner: 'victim', codec: 'f16' });
    const rows = await border(kv, ids);
    await kv.release();
    return rows;
  }

  /** Token by token: each candidate behind the tokens found so far, and the nearest row wins. */
  async function invert(rows: Float32Array, count: number): Promise<number[]> {
    const { width, vocab } = model.manifest.shape;
    const kv = await engine.openSession(FIRST, { maxTokens: count, owner: 'attacker', codec: 'f16' });
    const found: number[] = [];
    for (let at = 0; at < count; at += 1) {
      const target = rows.subarray(at * width, (at + 1) * width);
      let best = { id: 0, distance: Number.POSITIVE_INFINITY };
      for (let id = 0; id < vocab; id += 1) {
        const distance = distanceOf(await border(kv, [id]), target);
        if (distance < best.distance) best = { id, distance };
        kv.truncate(at);
      }
      found.push(best.id);
      await border(kv, [best.id]);
    }
    await kv.release();
    return found;
  }

  it('keeps tokens from those who only look, not from those who compute', async () => {
    const ids = tokenizer.encodePrompt(TEXT);
    const rows = await seenByTheNextHop(ids);
    const found = await invert(rows, ids.length);
    const right = found.filter((id, i) => id === ids[i]).length;
    process.stdout.write(
      `      inversion finds ${right} of ${ids.length} tokens from the rows behind the first shard\n`,
    );
    assert.equal(right, ids.length, 'docs/clients.md says that whoever computes finds all of them');
  });
});

function distanceOf(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += ((a[i] ?? 0) - (b[i] ?? 0)) ** 2;
  return sum;
}
