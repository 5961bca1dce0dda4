// `npm run bench -- flood`: what floods cost an honest client whose node has a stake: the time to the first token through its gateway, with and without
// the flood, turn by turn in one run. A flood of strangers: 1,000 sessions, as long as they can be, again and again. A flood of sockets: 5,000 that say the
// beginning of something and read nothing, at the hoster's port and at the gateway's.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createReport, median } from './figure.ts';
import type { FloodNews, FloodOrder, FloodSetup } from './flood-process.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const MODEL = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const PROCESS = fileURLToPath(new URL('./flood-process.ts', import.meta.url));
const PATIENCE_MS = 3_000;
const PEERS = 125;
const SESSIONS_PER_PEER = 8;
const SOCKETS = 5_000;
const ROUNDS = 4;
const ANSWERS = 20;
/** Until the flood has risen, or has run off. */
const SETTLE_MS = 6_000;
const BAR = 2;
/** Two runs of the same differ by as much. */
const BAR_SOCKETS = 1.25;
const PROMPT = 'Once upon a time, there was a brave beetle named Maya. She lived under a flat stone.';

interface Flood {
  rise(): Promise<void>;
  fall(): Promise<void>;
  count(): Promise<number>;
}

export async function benchFlood({ json, only, note }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const children: ChildProcess[] = [];
  const start = async (setup: FloodSetup): Promise<readonly [ChildProcess, FloodNews]> => {
    const child = fork(PROCESS, ['flood-bench', JSON.stringify(setup)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    children.push(child);
    return [child, await hear(child)];
  };
  const ask = async (child: ChildProcess, order: FloodOrder): Promise<FloodNews> => {
    const answer = hear(child);
    child.send(order);
    return answer;
  };
  const countOf = async (child: ChildProcess): Promise<number> => {
    const news = await ask(child, 'count');
    return 'count' in news ? news.count : 0;
  };
  try {
    const [host, hosting] = await start({ role: 'hoster', model: MODEL });
    const hoster = 'address' in hosting ? hosting.address : '';
    const [, serving] = await start({ role: 'gateway', model: MODEL, hoster });
    const url = 'url' in serving ? serving.url : '';
    const ports = [Number(/\/tcp\/(\d+)/.exec(hoster)?.[1]), Number(new URL(url).port)];
    const floods: Readonly<Record<string, () => Promise<Flood>>> = {
      async strangers() {
        const crowd = { peers: PEERS, sessionsPerPeer: SESSIONS_PER_PEER, model: MODEL, hoster };
        const [child] = await start({ role: 'strangers', ...crowd });
        return {
          rise: async () => void child.send('flood' satisfies FloodOrder),
          fall: async () => void (await ask(child, 'calm')),
          count: () => countOf(child),
        };
      },
      async sockets() {
        const [child] = await start({ role: 'sockets', ports, each: SOCKETS });
        return {
          rise: async () => void (await ask(child, 'flood')),
          fall: async () => void (await ask(child, 'calm')),
          count: () => countOf(child),
        };
      },
    };
    const quiet = await waitForQuiet(PATIENCE_MS);
    for (const [name, begin] of Object.entries(floods)) {
      if (only !== undefined && !name.includes(only)) continue;
      note(`flood: ${name}`);
      const flood = await begin();
      await answers(url);
      const ratios: number[] = [];
      const [calm, flooded]: [number[], number[]] = [[], []];
      const facts = { sessions: 0, tokensPerSecond: 0, sockets: 0 };
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = await answers(url);
        await flood.rise();
        await sleep(SETTLE_MS);
        const [first, from] = [await flood.count(), performance.now()];
        const during = await answers(url);
        const seconds = (performance.now() - from) / 1000;
        const last = await flood.count();
        if (name === 'sockets') facts.sockets = last;
        else facts.tokensPerSecond = Math.round((last - first) / seconds);
        facts.sessions = await countOf(host);
        await flood.fall();
        await sleep(SETTLE_MS);
        ratios.push(median(during) / median(before));
        calm.push(...before);
        flooded.push(...during);
      }
      const times = { calmMs: spread(calm), floodedMs: spread(flooded), ...facts };
      report.add({
        ...{ name: `flood.${name}`, value: median(ratios), unit: 'ratio', better: 'lower', quiet },
        ...{ bar: name === 'sockets' ? BAR_SOCKETS : BAR, samples: ratios, facts: times },
      });
    }
  } finally {
    for (const child of children) child.disconnect();
  }
  return report.exitCode();
}

function spread(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(10 * (sorted[Math.floor(share * (sorted.length - 1))] ?? 0)) / 10;
  return { p50: at(0.5), p95: at(0.95), most: at(1) };
}

/** Milliseconds to the first token of one answer after the other, each on a connection of its own. */
async function answers(url: string): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < ANSWERS; i += 1) times.push(await firstToken(url));
  return times;
}

async function firstToken(url: string): Promise<number> {
  const body = JSON.stringify({ model: 'tiny', prompt: PROMPT, max_tokens: 4, temperature: 0, stream: true });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const began = performance.now();
  const sent = request(`${url}/v1/completions`, { method: 'POST', agent: false, headers });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let [first, text] = [0, ''];
  for await (const chunk of response) {
    text += (chunk as Buffer).toString();
    if (first === 0 && text.includes('"text":"')) first = performance.now() - began;
  }
  if (first === 0 || !text.endsWith('data: [DONE]\n\n'))
    throw new Error(`no answer from the gateway: ${text.slice(0, 300)}`);
  return first;
}

async function hear(child: ChildProcess): Promise<FloodNews> {
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`a process of the benchmark ended: ${code ?? signal}`);
  });
  const [news] = (await Promise.race([once(child, 'message'), died])) as [FloodNews];
  return news;
}
