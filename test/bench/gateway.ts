// `npm run bench -- gateway`: 300 answers of the bundled model streamed at once through one gateway, and what the gateway itself takes for each
// token, by its own /metrics. Four processes: two hosters on ONNX Runtime, the gateway, and this one, which is all of the clients.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { createReport } from './figure.ts';
import type { GatewayBenchNews, GatewayBenchOrder, GatewayBenchSetup } from './gateway-process.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const STREAMS = 300;
/** Streams to one peer end at 256, so one would be too few. */
const HOSTERS = 2;
/** More than half of all: who is full is passed by. */
const STREAMS_PER_HOSTER = 200;
const WARM_UP = 8;
const TOKENS = 64;
const MODEL = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const PROCESS = fileURLToPath(new URL('./gateway-process.ts', import.meta.url));
const PATIENCE_MS = 3_000;
/** Nobody notices a gateway that takes no longer. */
const BAR_OVERHEAD_MS = 5;
const QUANTILE = 0.95;
const ANNOUNCE_BLOCKS = 5;

interface Streamed {
  /** Milliseconds of this process. */
  readonly begun: number;
  readonly ended: number;
  /** Pieces of text. */
  readonly pieces: number;
  /** What was wrong with it. */
  readonly fault: string | undefined;
}

export async function benchGateway({ json, note }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const children: ChildProcess[] = [];
  try {
    const { url, cpuMs } = await startRig(children);
    const quiet = await waitForQuiet(PATIENCE_MS);
    note(`gateway: ${WARM_UP} streams to warm up, then ${STREAMS} at once`);
    await streamAll(url, WARM_UP);
    const [before, cpuBefore] = [await scrape(url), await cpuMs()];
    const started = performance.now();
    const answers = await streamAll(url, STREAMS);
    const seconds = (performance.now() - started) / 1000;
    const [after, cpuAfter] = [await scrape(url), await cpuMs()];
    const drawn =
      counted('tessera_generation_tokens_total', after) - counted('tessera_generation_tokens_total', before);
    const faults = answers.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
    const spent = (name: string, quantile: number) => quantileMs(name, quantile, before, after);
    const overhead = 'tessera_token_overhead_seconds';
    const facts = {
      tokensPerSecond: Math.round(drawn / seconds),
      cpuMsPerToken: Number(((cpuAfter - cpuBefore) / drawn).toFixed(3)),
      firstTokenP95Ms: spent('tessera_time_to_first_token_seconds', QUANTILE),
      interTokenP95Ms: spent('tessera_inter_token_latency_seconds', QUANTILE),
    };
    const most = mostAtOnce(answers);
    const [value, median] = [spent(overhead, QUANTILE), spent(overhead, 0.5)];
    const errors = { faults: [...new Set(faults)].slice(0, 3), tokens: TOKENS };
    report.add({
      ...{ name: 'gateway.streams', value: most, unit: 'at once', bar: STREAMS, better: 'higher', quiet },
      ...{ samples: [most], facts },
    });
    report.add({
      ...{ name: 'gateway.errors', value: faults.length, unit: 'of 300', bar: 0, better: 'lower', quiet: true },
      ...{ samples: [faults.length], facts: errors },
    });
    report.add({
      ...{ name: 'gateway.overhead.p95', value, unit: 'ms', bar: BAR_OVERHEAD_MS, better: 'lower', quiet },
      ...{ samples: [value], facts: { median } },
    });
  } finally {
    for (const child of children) child.disconnect();
  }
  return report.exitCode();
}

/** Answers when the gateway knows of the hosters: its address, and what processor time it has taken. */
async function startRig(
  children: ChildProcess[],
): Promise<{ readonly url: string; readonly cpuMs: () => Promise<number> }> {
  const start = (setup: Pick<GatewayBenchSetup, 'role' | 'dial' | 'place' | 'streams'>): ChildProcess => {
    const words = ['gateway-bench', JSON.stringify({ ...setup, model: MODEL, hosters: HOSTERS })];
    const child = fork(PROCESS, words, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    children.push(child);
    return child;
  };
  const dial: string[] = [];
  for (let place = 0; place < HOSTERS; place += 1) {
    const hoster = start({ role: 'hoster', dial: [], place, streams: STREAMS_PER_HOSTER });
    dial.push(...(await hear(hoster, (news) => ('addresses' in news ? news.addresses : undefined))));
  }
  const gateway = start({ role: 'gateway', dial, place: 0, streams: STREAMS });
  const url = await hear(gateway, (news) => ('url' in news ? news.url : undefined));
  for (let head = 100, offers = 0; offers < HOSTERS; head += 1) {
    for (const child of children) child.send({ head } satisfies GatewayBenchOrder);
    offers = await hear(gateway, (news) => ('offers' in news ? news.offers : undefined));
    if (head > 100 + 100 * ANNOUNCE_BLOCKS) throw new Error('the gateway heard of too few hosters');
  }
  return {
    url,
    cpuMs() {
      gateway.send('cpu' satisfies GatewayBenchOrder);
      return hear(gateway, (news) => ('cpuMs' in news ? news.cpuMs : undefined));
    },
  };
}

/** The first news that has what is looked for. */
async function hear<T>(child: ChildProcess, pick: (news: GatewayBenchNews) => T | undefined): Promise<T> {
  for (;;) {
    const [news] = (await Promise.race([once(child, 'message'), died(child)])) as [GatewayBenchNews];
    const found = pick(news);
    if (found !== undefined) return found;
  }
}

async function died(child: ChildProcess): Promise<never> {
  const [code, signal] = await once(child, 'exit');
  throw new Error(`a process of the benchmark ended: ${code ?? signal}`);
}

function streamAll(url: string, count: number): Promise<Streamed[]> {
  const agent = new Agent({ maxSockets: count });
  return Promise.all(Array.from({ length: count }, (_, i) => stream(url, i, agent))).finally(() => agent.destroy());
}

/** One answer, read as it comes; every one with a seed and so words of its own. */
async function stream(url: string, seed: number, agent: Agent): Promise<Streamed> {
  const body = JSON.stringify({
    ...{ model: 'tiny', prompt: 'Once upon a time', max_tokens: TOKENS, temperature: 1, seed, stream: true },
    ...{ stream_options: { include_usage: true } },
  });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const sent = request(`${url}/v1/completions`, { method: 'POST', agent, headers });
  sent.end(body);
  let [begun, pieces, text] = [0, 0, ''];
  try {
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    for await (const chunk of response) {
      if (begun === 0) begun = performance.now();
      text += (chunk as Buffer).toString();
    }
    pieces = text.split('"text":"').length - 1;
    return { begun, ended: performance.now(), pieces, fault: faultOf(response.statusCode, text) };
  } catch (error) {
    return { begun, ended: performance.now(), pieces, fault: String(error) };
  }
}

/** A story may end by itself; what must be there is the reason, the usage and the mark of the end. */
function faultOf(status: number | undefined, text: string): string | undefined {
  if (status !== 200) return `status ${status}`;
  if (!text.endsWith('data: [DONE]\n\n')) return 'no [DONE]';
  if (!/"finish_reason":"(length|stop)"/.test(text)) return 'no finish reason';
  return /"completion_tokens":[1-9]/.test(text) ? undefined : 'no tokens';
}

/** Streams that had begun and not ended, at the best moment. */
function mostAtOnce(answers: readonly Streamed[]): number {
  const good = answers.filter(({ fault }) => fault === undefined);
  return Math.max(0, ...good.map(({ begun: at }) => good.filter((one) => one.begun <= at && at < one.ended).length));
}

async function scrape(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`)).text();
}

function counted(name: string, text: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** Of what a histogram has counted between two scrapes, as Prometheus interpolates it. */
function quantileMs(name: string, quantile: number, before: string, after: string): number {
  const old = bucketsOf(name, before);
  const counted = bucketsOf(name, after).map(([le, count], i) => [le, count - (old[i]?.[1] ?? 0)] as const);
  const rank = quantile * (counted.at(-1)?.[1] ?? 0);
  const at = counted.findIndex(([, count]) => count >= rank);
  const [le = 0, count = 0] = counted[at] ?? [];
  const [from, below] = counted[at - 1] ?? [0, 0];
  if (le === Number.POSITIVE_INFINITY) return 1000 * from;
  return 1000 * (from + ((le - from) * (rank - below)) / Math.max(1, count - below));
}

/** Upper limits in seconds and cumulative counts. */
function bucketsOf(name: string, text: string): readonly (readonly [number, number])[] {
  const lines = text.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)"\\} (\\d+)$`, 'gm'));
  return [...lines].map(([, le, count]) => [le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), Number(count)]);
}
