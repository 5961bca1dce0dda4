// `tessera bench`: what this machine does with a model, measured here and now: loading, reading, writing, several at once. For an operator who
// chooses shards, threads and memory; the project's own figures beside their bars are `npm run bench`.

import { createOnnxEngine } from '../../engine/onnx.ts';
import type { Engine, KvSession } from '../../engine/types.ts';
import { cutShards, textManifest } from '../../model/manifest.ts';
import { parseShards } from '../../node/shards.ts';
import type { ShardIndex } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { table } from '../io.ts';
import { openModelOption } from '../session.ts';

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly says: string;
}

const PROMPT_ROWS = 256;
const DECODED = 64;
const STREAMS = 8;
const MIB = 2 ** 20;

export const bench = defineCommand({
  name: 'bench',
  describe: 'measure what this machine does with a model',
  examples: ['tessera bench', 'tessera bench --model models/mine --shards 0-3 --threads 4 --json'],
  options: ['model', 'cut', 'shards', 'device', 'threads', 'memory', 'prepack'],
  async run({ options, dataDir, io, log, signal }) {
    const model = await openModelOption(options.model);
    const { shape } = textManifest(model.manifest);
    const cut = options.cut ?? Object.keys(model.manifest.cuts)[0] ?? '';
    const count = cutShards(model.manifest, cut).length;
    const shards = options.shards === 'auto' ? allOf(count) : parseShards(options.shards, count);
    const runs = runsOf(shards);
    const engine = await createOnnxEngine(
      {
        model,
        cut,
        device: options.device,
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        ...(options.memory === undefined ? {} : { memoryBytes: options.memory }),
        prepacked: options.prepack ? { folder: `${dataDir}/prepacked` } : undefined,
      },
      { log: log.child('engine') },
    );
    try {
      io.note(
        `${model.manifest.name}: shards ${shards.join(' ')} of ${count} on ${engine.info.provider} (${engine.info.why})`,
      );
      const figures: Figure[] = [];
      const tell = (figure: Figure): void => {
        figures.push(figure);
        io.result({ event: 'figure', ...figure, value: Number(figure.value.toPrecision(4)) }, '');
      };
      const began = performance.now();
      await engine.load(shards, signal);
      tell({ name: 'load', value: performance.now() - began, unit: 'ms', says: 'until the shards can be used' });
      const rows = Math.min(PROMPT_ROWS, shape.maxContext - DECODED);
      const bed = { engine, runs, width: shape.width, signal };
      const first = await measure(bed, 1, rows);
      tell({ name: 'prefill', value: first.prefill, unit: 'rows/s', says: `a prompt of ${rows}, one stream` });
      tell({ name: 'decode', value: first.decode, unit: 'rows/s', says: 'then token after token' });
      const many = await measure(bed, STREAMS, Math.min(32, rows));
      tell({ name: `decode.${STREAMS}`, value: many.decode, unit: 'rows/s', says: `${STREAMS} streams together` });
      tell({ name: 'memory', value: process.memoryUsage.rss() / MIB, unit: 'MiB', says: 'of this process now' });
      const lines = figures.map(({ name, value, unit, says }) => [
        name,
        value.toFixed(value < 100 ? 1 : 0),
        unit,
        says,
      ]);
      if (!io.json) io.stream(`${table(lines)}\n`);
    } finally {
      await engine.close();
    }
  },
});

function allOf(count: number): readonly ShardIndex[] {
  return Array.from({ length: count }, (_, shard) => shard as ShardIndex);
}

interface Run {
  readonly from: ShardIndex;
  readonly to: ShardIndex;
}

/** Shards that follow each other are one run, as on a route. */
function runsOf(shards: readonly ShardIndex[]): readonly Run[] {
  const runs: Run[] = [];
  for (const shard of shards.toSorted((a, b) => a - b)) {
    const last = runs.at(-1);
    const to = (shard + 1) as ShardIndex;
    if (last?.to === shard) runs[runs.length - 1] = { from: last.from, to };
    else runs.push({ from: shard, to });
  }
  return runs;
}

interface Bed {
  readonly engine: Engine;
  readonly runs: readonly Run[];
  readonly width: number;
  readonly signal: AbortSignal;
}

/** Rows per second of all streams together through all runs, after a first pass that is not counted. */
async function measure(bed: Bed, streams: number, promptRows: number): Promise<{ prefill: number; decode: number }> {
  await stream(bed, Math.min(8, promptRows), 2);
  const all = await Promise.all(Array.from({ length: streams }, () => stream(bed, promptRows, DECODED)));
  const longest = (part: 'prefillMs' | 'decodeMs') => Math.max(...all.map((one) => one[part]));
  return {
    prefill: (1_000 * streams * promptRows) / longest('prefillMs'),
    decode: (1_000 * streams * DECODED) / longest('decodeMs'),
  };
}

async function stream({ engine, runs, width, signal }: Bed, promptRows: number, decoded: number) {
  const options = { maxTokens: promptRows + decoded, owner: 'bench', codec: 'f16' } as const;
  const sessions = await Promise.all(runs.map((run) => engine.openSession(run, options)));
  try {
    const began = performance.now();
    for (const kv of sessions) await step(kv, promptRows, width, signal);
    const read = performance.now();
    for (let i = 0; i < decoded; i += 1) for (const kv of sessions) await step(kv, 1, width, signal);
    return { prefillMs: read - began, decodeMs: performance.now() - read };
  } finally {
    await Promise.all(sessions.map((kv) => kv.release()));
  }
}

/** Ids or rows as they may come; what they say does not matter here. */
async function step(kv: KvSession, count: number, width: number, signal: AbortSignal): Promise<void> {
  const rows =
    kv.from === 0
      ? ({ kind: 'tokens', ids: Int32Array.from({ length: count }, (_, i) => (kv.length + i) % 200) } as const)
      : ({ kind: 'hidden', data: Float32Array.from({ length: count * width }, (_, i) => Math.sin(i)), count } as const);
  await kv.step(kv.length, rows, signal);
}
