// One section of the engine's benchmark that needs no peer, in a process of its own: says what it measured as one line of JSON.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { chunkRows } from '../../../src/engine/backend.ts';
import { createOnnxEngine } from '../../../src/engine/onnx.ts';
import type { Engine, KvSession } from '../../../src/engine/types.ts';
import { cutShards } from '../../../src/model/manifest.ts';
import { type Model, openModel } from '../../../src/model/open.ts';
import { DEFAULT_CUT } from '../../../src/model/write.ts';
import type { ShardIndex } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';
import { median } from '../figure.ts';
import { rate, token } from './runner.ts';

export type Section = 'load' | 'delay' | 'busy' | 'newcomer' | 'scaling' | 'reload';

export interface SectionSetup {
  readonly section: Section;
  /** Folder. */
  readonly model: string;
  readonly threads: number;
  /** Folder for repacked weights, if any are to be kept. */
  readonly prepacked?: string;
}

/** By the names of the figures. */
export type Measured = Readonly<Record<string, number>>;

interface Bench {
  readonly engine: Engine;
  readonly model: Model;
  readonly shards: readonly ShardIndex[];
  open(maxTokens: number): Promise<KvSession>;
}

const CONTEXT = 16;
const STEPS = 16;
const ROUNDS = 3;
const PROMPT = 512;
const ALIKE = 7;
const TOGETHER = 16;

const SECTIONS: Readonly<Record<Section, (bench: Bench) => Promise<Measured>>> = {
  async load({ engine, model, shards }) {
    const before = anonymousBytes();
    const begin = performance.now();
    await engine.load(shards);
    const loadSeconds = (performance.now() - begin) / 1000;
    const weights = new Set(model.manifest.shards.flatMap((shard) => shard.weights));
    const weightBytes = [...weights].reduce((sum, file) => sum + (model.manifest.files[file]?.bytes ?? 0), 0);
    return { loadSeconds, memoryShare: (anonymousBytes() - before) / weightBytes };
  },

  /** How late the main thread is while a prompt is read. */
  async delay({ engine, shards, open }) {
    await engine.load(shards);
    const session = await open(PROMPT + 1);
    await feed(session, PROMPT); // pages the weights in
    const delays: number[] = [];
    let worst = 0;
    for (let round = 0; round < ROUNDS; round++) {
      session.truncate(0);
      const watch = monitorEventLoopDelay({ resolution: 1 });
      watch.enable();
      await feed(session, PROMPT);
      watch.disable();
      delays.push(watch.percentile(99) / 1e6);
      worst = Math.max(worst, watch.max / 1e6);
    }
    return { p99: median(delays), worst };
  },

  /** Decoding beside another process that takes what it can of one core, over decoding alone. */
  async busy({ engine, shards, open }) {
    await engine.load(shards);
    const session = await open(256);
    const decode = async () => {
      session.truncate(Math.min(CONTEXT, session.length));
      await feed(session, CONTEXT - session.length);
      return (await rate(STEPS, () => decodeAll([session], STEPS))).tokensPerSecond;
    };
    await decode();
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const alone = await decode();
      const competitor = spawn(process.execPath, ['--eval', 'for (;;);'], { stdio: 'ignore' });
      try {
        ratios.push((await decode()) / alone);
      } finally {
        competitor.kill('SIGKILL');
      }
    }
    return { ratio: median(ratios) };
  },

  /**
   * The longest pause between two tokens of one session while another one comes, brings a prompt and goes, over a chunk of a prompt and a token. Others
   * lie in the newcomer's pool and do nothing.
   */
  async newcomer({ engine, model, shards, open }) {
    await engine.load(shards);
    const old = await open(256);
    for (let i = 0; i < ALIKE; i++) await feed(await open(PROMPT + 1), CONTEXT);
    await feed(old, CONTEXT);
    const chunk = chunkRows(model.manifest.shape, cutShards(model.manifest, DEFAULT_CUT)[0]?.format);
    const ratios: number[] = [];
    let [chunkMs, tokenMs] = [0, 0];
    for (let round = 0; round <= ROUNDS; round++) {
      old.truncate(CONTEXT);
      tokenMs = Math.max(...(await gaps(old, STEPS)));
      chunkMs = 0;
      const alone = await open(PROMPT + 1);
      for (let at = 0; at < PROMPT; at += chunk) chunkMs = Math.max(chunkMs, await timed(() => feed(alone, chunk)));
      await alone.release();
      let here = true;
      const visit = async (): Promise<void> => {
        const fresh = await open(PROMPT + 1);
        await feed(fresh, PROMPT);
        await fresh.release();
      };
      const visited = visit().finally(() => {
        here = false;
      });
      const pauses: number[] = [];
      while (here) pauses.push(...(await gaps(old, 1)));
      await visited;
      if (round > 0) ratios.push(Math.max(...pauses) / (chunkMs + tokenMs)); // the first one pages the weights in
    }
    return { ratio: median(ratios), chunkMs, tokenMs };
  },

  /** Sixteen sessions that decode at once over one, tokens per second. */
  async scaling({ engine, shards, open }) {
    await engine.load(shards);
    const sessions = await Promise.all(Array.from({ length: TOGETHER }, () => open(256)));
    const [one] = sessions;
    if (one === undefined) throw new RangeError('no sessions');
    const decode = async (chosen: readonly KvSession[], steps: number) => {
      for (const session of chosen) {
        session.truncate(Math.min(CONTEXT, session.length));
        await feed(session, CONTEXT - session.length);
      }
      await decodeAll(chosen, 1);
      return rate(chosen.length * steps, () => decodeAll(chosen, steps));
    };
    await decode(sessions, 1);
    const [ratios, work]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      const [alone, together] = [await decode([one], STEPS), await decode(sessions, STEPS / 2)];
      ratios.push(together.tokensPerSecond / alone.tokensPerSecond);
      work.push(alone.cpuMsPerToken / together.cpuMsPerToken);
    }
    return { ratio: median(ratios), workRatio: median(work) };
  },

  /** Memory that stays behind when shards come and go, by a line through the sizes after each time. */
  async reload({ engine, shards }) {
    const sizes: number[] = [];
    for (let cycle = 0; cycle < WARM_CYCLES + CYCLES; cycle++) {
      await engine.load(shards);
      await engine.unload(shards);
      if (cycle >= WARM_CYCLES) sizes.push(process.memoryUsage.rss() / 1024);
    }
    return { slopeKib: slope(sizes), firstMib: (sizes[0] ?? 0) / 1024, lastMib: (sizes.at(-1) ?? 0) / 1024 };
  },
};
const CYCLES = 200;
/** Until caches and compiled code are what they will be: the bundled model took 15 MiB in the first 200 and 0.7 in the next 800. */
const WARM_CYCLES = 200;

/** `rows` more of what every vocabulary has; nothing for none. */
async function feed(session: KvSession, rows: number): Promise<void> {
  if (rows <= 0) return;
  const ids = Int32Array.from({ length: rows }, (_, i) => token(session.length + i));
  await session.step(session.length, { kind: 'tokens', ids });
}

async function decodeAll(sessions: readonly KvSession[], steps: number): Promise<void> {
  await Promise.all(
    sessions.map(async (session) => {
      for (let i = 0; i < steps; i++) await feed(session, 1);
    }),
  );
}

/** Milliseconds of each of `steps` tokens; the session does not grow beyond what it was opened for. */
async function gaps(session: KvSession, steps: number): Promise<number[]> {
  const list: number[] = [];
  for (let i = 0; i < steps; i++) {
    if (session.length === session.maxTokens) session.truncate(CONTEXT);
    list.push(await timed(() => feed(session, 1)));
  }
  return list;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** Least squares, per step. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const [top, bottom] = values.reduce(
    ([a, b], value, i) => [a + (i - middle) * (value - mean), b + (i - middle) ** 2],
    [0, 0],
  );
  return top / bottom;
}

/** Without pages of files where the system tells them apart. */
function anonymousBytes(): number {
  try {
    return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  } catch {
    return process.memoryUsage.rss();
  }
}

async function main({ section, model: folder, threads, prepacked }: SectionSetup): Promise<void> {
  const model = await openModel(folder);
  const shards = cutShards(model.manifest, DEFAULT_CUT).map((_, index) => index as ShardIndex);
  const engine = await createOnnxEngine(
    {
      model,
      cut: DEFAULT_CUT,
      threads,
      device: 'cpu',
      prepacked: prepacked === undefined ? undefined : { folder: prepacked },
    },
    { log: silentLog },
  );
  try {
    const range = { from: 0 as ShardIndex, to: shards.length as ShardIndex };
    const open = (maxTokens: number) => engine.openSession(range, { maxTokens, owner: 'bench', codec: 'f16' });
    process.stdout.write(`${JSON.stringify(await SECTIONS[section]({ engine, model, shards, open }))}\n`);
  } finally {
    await engine.close();
  }
}

await main(JSON.parse(process.argv[2] ?? '') as SectionSetup);
