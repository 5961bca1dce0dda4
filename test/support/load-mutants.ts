// A process of test/compliance/mutants.spec.ts and scripts/model/mutants.ts: damages one graph again and again, loads and runs what the rules of safe
// loading let through, and reports. A fault in native code ends this process, not the one that started it.
// Arguments: model folder, graph, seed, count, and `all` when the count is of all mutants and not of those that pass the rules.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { loadSession } from '../../src/engine/binding.ts';
import { brokenForeignRule, readForeign } from '../../src/graph/foreign.ts';
import { decodeModel } from '../../src/graph/onnx.ts';
import { brokenRule } from '../../src/graph/safe.ts';
import { parseManifest } from '../../src/model/manifest.ts';

const CAPACITY = 8;
const [folder = '', file = '', seed = '1', count = '1', counted = 'loaded'] = process.argv.slice(2);
const manifest = parseManifest(readFileSync(join(folder, 'manifest.json')));
const weights = new Map(Object.entries(manifest.files).map(([name, { bytes }]) => [name, bytes]));
const original = new Uint8Array(readFileSync(join(folder, file)));

let state = Number(seed);
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** One or two bytes changed, or a piece of the file copied over another. */
function mutant(): Uint8Array {
  const bytes = original.slice();
  if (random(4) === 0) bytes.copyWithin(random(bytes.length), random(bytes.length), random(bytes.length));
  else for (let i = random(2); i >= 0; i--) bytes[random(bytes.length)] = random(256);
  return bytes;
}

function passesRules(bytes: Uint8Array): boolean {
  try {
    return manifest.arch === 'graph'
      ? brokenForeignRule(readForeign(bytes), (name) => weights.get(name)) === undefined
      : brokenRule(decodeModel(bytes), weights) === undefined;
  } catch {
    return false;
  }
}

async function loadAndRun(path: string): Promise<'refused' | 'failed' | 'ran'> {
  const session = await loadSession(path, 1, 'fast').catch(() => undefined);
  if (session === undefined) return 'refused';
  try {
    await session.run(feeds());
    return 'ran';
  } catch (error) {
    // The sequence that real runs rely on (binding.ts) is an error here, after the run.
    return String(error).includes('Non tensor type') ? 'ran' : 'failed';
  } finally {
    await session.release();
  }
}

function feeds(): Record<string, ort.Tensor> {
  if (manifest.arch === 'graph') return graphFeeds();
  return manifest.arch === 'llama' ? decoderFeeds() : encoderFeeds();
}

/** Two of whatever a call decides. */
function graphFeeds(): Record<string, ort.Tensor> {
  const tensors = (manifest.shards[0]?.inputs ?? []).map(({ name, dtype, dims }) => {
    const own = dims.map((dim) => (typeof dim === 'number' ? dim : 2));
    const length = own.reduce((product, dim) => product * dim, 1);
    if (dtype === 'f32') {
      const values = Float32Array.from({ length }, (_, i) => Math.cos(i * 1.3));
      return [name, new ort.Tensor('float32', values, own)] as const;
    }
    const ids = Array.from({ length }, (_, i) => i % 3);
    const tensor =
      dtype === 'i64'
        ? new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), own)
        : new ort.Tensor('int32', Int32Array.from(ids), own);
    return [name, tensor] as const;
  });
  return Object.fromEntries(tensors);
}

function encoderFeeds(): Record<string, ort.Tensor> {
  const row = (...values: number[]) => new ort.Tensor('int32', Int32Array.from(values), [1, 3]);
  return { input_ids: row(5, 6, 7), attention_mask: row(1, 1, 0), token_type_ids: row(0, 0, 0) };
}

function decoderFeeds(): Record<string, ort.Tensor> {
  const { kvHeads, headDim } = manifest.shape;
  const cache = () =>
    new ort.Tensor('float32', new Float32Array(kvHeads * CAPACITY * headDim), [1, kvHeads, CAPACITY, headDim]);
  return {
    input_ids: new ort.Tensor('int64', BigInt64Array.of(5n, 6n, 7n), [1, 3]),
    seqlens_k: new ort.Tensor('int32', Int32Array.of(2), [1]),
    total_sequence_length: new ort.Tensor('int32', Int32Array.of(3), [1]),
    'past_key.0': cache(),
    'past_value.0': cache(),
  };
}

const outcomes = { broken: 0, refused: 0, failed: 0, ran: 0 };
const path = join(folder, `mutant-${process.pid}.onnx`);
const left = () =>
  Number(count) - outcomes.refused - outcomes.failed - outcomes.ran - (counted === 'all' ? outcomes.broken : 0);
while (left() > 0) {
  const bytes = mutant();
  if (!passesRules(bytes)) {
    outcomes.broken++;
    continue;
  }
  writeFileSync(path, bytes);
  outcomes[await loadAndRun(path)]++;
}
rmSync(path, { force: true });
process.stdout.write(JSON.stringify(outcomes));
