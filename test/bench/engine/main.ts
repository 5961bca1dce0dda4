// `npm run bench -- engine`: our engine beside node-llama-cpp on a random model of TinyLlama's shape, as ratios of runs in turn (engine.md 4).
// Each engine lives in a process of its own; only one works at a time. The first round pages the weights in and is dropped.

import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WeightFormat } from '../../../src/graph/formats.ts';
import { writeModel } from '../../../src/model/write.ts';
import { createReport, median, type Report } from '../figure.ts';
import { describeMachine, waitForQuiet } from '../machine.ts';
import type { BenchOptions } from '../options.ts';
import { benchAlone } from './alone.ts';
import { type GgufType, writeGguf } from './gguf.ts';
import { randomLlama, TINY_LLAMA } from './random-llama.ts';
import type { Answer, Job, Rate, Setup } from './runner.ts';

interface Case {
  readonly name: string;
  readonly job: Job;
  /** Least ratio, ours over theirs. */
  readonly bar: number;
}

/** Same size of weights on both sides. The bars are those of engine.md 4, P1 to P6, or what was asked for beyond them. */
const PAIRS: readonly {
  readonly format: WeightFormat;
  readonly peer: GgufType;
  readonly threads: number;
  readonly cases: readonly Case[];
}[] = [
  {
    format: 'int4b128',
    peer: 'Q4_0',
    threads: 1,
    cases: [
      { name: 'decode.16', job: { kind: 'decode', context: 16, steps: 16 }, bar: 0.8 },
      { name: 'decode.512', job: { kind: 'decode', context: 512, steps: 16 }, bar: 0.8 },
    ],
  },
  {
    format: 'int4b128',
    peer: 'Q4_0',
    threads: 2,
    cases: [
      { name: 'decode.16', job: { kind: 'decode', context: 16, steps: 24 }, bar: 0.95 },
      { name: 'decode.512', job: { kind: 'decode', context: 512, steps: 24 }, bar: 1 },
      { name: 'decode.1900', job: { kind: 'decode', context: 1900, steps: 24 }, bar: 0.95 },
      { name: 'prefill.512', job: { kind: 'prefill', tokens: 512 }, bar: 0.75 },
      { name: 'batch16', job: { kind: 'batch', sessions: 16, context: 16, steps: 8 }, bar: 0.65 },
    ],
  },
  {
    format: 'w8a8',
    peer: 'Q8_0',
    threads: 2,
    cases: [
      { name: 'decode.16', job: { kind: 'decode', context: 16, steps: 16 }, bar: 0.95 },
      { name: 'prefill.512', job: { kind: 'prefill', tokens: 512 }, bar: 1.8 },
      { name: 'batch16', job: { kind: 'batch', sessions: 16, context: 16, steps: 8 }, bar: 1.3 },
    ],
  },
];
const ROUNDS = 5;
const PATIENCE_MS = 3000;
/** Longest that our main thread may stand still while a prompt runs (P10). */
const STALL_BAR_MS = 20;
const SHARD_BLOCKS = [6, 6, 5, 5];
/** Goes up when graphs or weights come out otherwise: what lies in the folder is then made again. */
const RECIPE = 2;
const PEER_PACKAGE = 'node-llama-cpp@3.22.1';

export async function benchEngine({ folder, json, note, only, threads: wanted }: BenchOptions): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const report = createReport(json, describeMachine());
  const model = (format: WeightFormat) => makeModel(folder, format, note);
  let measured = await benchAlone({ folder, only, threads: wanted }, { report, model });
  for (const pair of PAIRS) {
    const threads = wanted ?? pair.threads;
    const cases = pair.cases.filter(
      ({ name }) => only === undefined || `${name}.${pair.format}.${threads}t`.includes(only),
    );
    if (cases.length === 0) continue;
    measured += cases.length;
    const peer = installPeer(join(folder, 'peer'), note);
    const gguf = await makeGguf(folder, pair.peer, note);
    const ours = await start('./ours.ts', { model: await model(pair.format), threads, peer });
    const theirs = await start('./peer.ts', { model: gguf, threads, peer });
    try {
      for (const one of cases)
        await compare(report, `engine.${one.name}.${pair.format}.${threads}t`, one, ours, theirs);
    } finally {
      await Promise.all([stop(ours.child), stop(theirs.child)]);
    }
  }
  if (measured === 0) note(`no figure has a name with ${only}`);
  return measured === 0 ? 2 : report.exitCode();
}

async function compare(report: Report, name: string, { job, bar }: Case, ours: Runner, theirs: Runner): Promise<void> {
  const samples: { readonly ours: Rate; readonly theirs: Rate }[] = [];
  let [quiet, stall, rss] = [true, 0, 0];
  for (let round = 0; round <= ROUNDS; round++) {
    quiet = (await waitForQuiet(PATIENCE_MS)) && quiet;
    const mine = await ours.run(job);
    const other = await theirs.run(job);
    if (round === 0) continue;
    samples.push({ ours: mine.rate, theirs: other.rate });
    stall = Math.max(stall, mine.stallMs);
    rss = Math.max(rss, mine.rssMb);
  }
  const middle = (of: (sample: (typeof samples)[number]) => number) => Number(median(samples.map(of)).toPrecision(3));
  const ratios = samples.map((sample) => sample.ours.tokensPerSecond / sample.theirs.tokensPerSecond);
  const facts = {
    tokensPerSecond: [middle(({ ours: one }) => one.tokensPerSecond), middle(({ theirs: one }) => one.tokensPerSecond)],
    cpuMsPerToken: [middle(({ ours: one }) => one.cpuMsPerToken), middle(({ theirs: one }) => one.cpuMsPerToken)],
    rssMb: rss,
  };
  report.add({ name, value: median(ratios), unit: 'ratio', bar, better: 'higher', quiet, samples: ratios, facts });
  if (job.kind === 'prefill')
    report.add({
      name: `${name}.stall`,
      value: stall,
      unit: 'ms',
      bar: STALL_BAR_MS,
      better: 'lower',
      quiet,
      samples: [stall],
    });
}

interface Runner {
  readonly child: ChildProcess;
  run(job: Job): Promise<Extract<Answer, { rate: Rate }>>;
}

async function start(file: string, setup: Setup): Promise<Runner> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(setup)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1', ...process.env }, // as deploy/ starts a node; both sides alike
  });
  let settle: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  child.on('message', (answer: Answer) => settle?.resolve(answer));
  child.on('exit', (code, signal) => settle?.reject(new Error(`${file} ended: ${code ?? signal}`)));
  const next = async (): Promise<Answer> => {
    const answer = await new Promise<Answer>((resolve, reject) => {
      settle = { resolve, reject };
    });
    if ('failed' in answer) throw new Error(`${file}: ${answer.failed}`);
    return answer;
  };
  await next();
  return {
    child,
    async run(job) {
      child.send(job);
      const answer = await next();
      if (!('rate' in answer)) throw new Error(`${file} answered out of turn`);
      return answer;
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.disconnect();
  await ended;
}

async function makeModel(folder: string, format: WeightFormat, note: (line: string) => void): Promise<string> {
  const place = join(folder, `tinyllama-${RECIPE}-${format}`);
  if (existsSync(place)) return place;
  note(`writing ${place} (once) ...`);
  rmSync(`${place}.new`, { recursive: true, force: true });
  await writeModel(`${place}.new`, randomLlama(TINY_LLAMA), {
    name: 'random',
    license: 'none',
    shardBlocks: SHARD_BLOCKS,
    format,
  });
  await rename(`${place}.new`, place);
  return place;
}

async function makeGguf(folder: string, type: GgufType, note: (line: string) => void): Promise<string> {
  const place = join(folder, `tinyllama-${type}.gguf`);
  if (existsSync(place)) return place;
  note(`writing ${place} (once) ...`);
  await writeGguf(`${place}.new`, randomLlama(TINY_LLAMA), type);
  await rename(`${place}.new`, place);
  return place;
}

function installPeer(folder: string, note: (line: string) => void): string {
  if (existsSync(join(folder, 'node_modules/node-llama-cpp'))) return folder;
  note(`installing ${PEER_PACKAGE} into ${folder} (for this benchmark only) ...`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
  execFileSync('npm', ['install', PEER_PACKAGE, '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: 'ignore',
  });
  return folder;
}
