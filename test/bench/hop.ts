// `npm run bench -- hop`: what a hop costs beside its work. A row of 16 KiB (8,192 values, f16) goes to the last hop in another process
// over loopback, and its token comes back to the client: frames, checks, turns, drawing, two streams. Beside it the same bytes as an echo.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { FrameStream, Overlay } from '../../src/p2p/types.ts';
import type { BlockNumber, PeerId, ShardIndex } from '../../src/types/ids.ts';
import type { ManifestHash } from '../../src/types/model.ts';
import { silentLog } from '../../src/util/log.ts';
import { signRequest } from '../../src/wire/envelope.ts';
import {
  decodeMessage,
  encodeMessage,
  encodeOpen,
  INFER_PROTOCOL,
  OPEN_METHOD,
  type SessionSalt,
  sessionIdOf,
} from '../../src/wire/infer.ts';
import { rowsToBytes } from '../../src/wire/tensor.ts';
import { createReport, median } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

export const HOP_SEED = 1;
export const ECHO_PROTOCOL = '/bench/echo/1';
const WIDTH = 8_192;
const MAX_CONTEXT = 100_000;
export const HOP_MODEL = {
  hash: 'ab'.repeat(32) as ManifestHash,
  width: WIDTH,
  vocab: 100,
  maxContext: MAX_CONTEXT,
  shardCount: 2,
  cacheBytes: 1,
  outputRms: [],
} as const;

const CLIENT_SEED = 9;
const SALT = '0f'.repeat(16) as SessionSalt;
const ROUNDS = 10;
/** Of all rounds together 5,000: fifty samples lie behind the 99th percentile. */
const STEPS = 500;
const PATIENCE_MS = 3_000;
/** Four hops then cost a fifth of one 30 ms link. */
const BAR_MS = 1.5;
/** And a slow one in a hundred no more than a garbage collection of both sides. */
const BAR_P99_MS = 4;
/** The echo is what the overlay takes; the rest of a hop should not be more than that again, twice. */
const BAR_RATIO = 3;
const MAX_FRAME = 1 << 20;

/** Sends the row for a position and resolves when the answer is there. */
type Lap = (position: number) => Promise<void>;

export async function benchHop({ json }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const child = fork(fileURLToPath(new URL('./hop-process.ts', import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [addresses] = (await Promise.race([once(child, 'message'), died(child)])) as [readonly string[]];
  const identity = identityFromSeed(new Uint8Array(32).fill(CLIENT_SEED));
  const overlay = await createOverlay(
    {
      identity,
      listen: [],
      bootstrap: [],
      network: 'bench',
      dhtServer: false,
      topics: [],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
      privateAddresses: true,
    },
    { log: silentLog },
  );
  try {
    const never = new AbortController().signal;
    const peer = await overlay.connect(addresses[0] ?? '', never);
    const hop = await openHop(overlay, peer, identity.sign);
    const echo = await openEcho(overlay, peer);
    const quiet = await waitForQuiet(PATIENCE_MS);
    const rounds: { readonly hop: readonly number[]; readonly echo: readonly number[] }[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const measured = { hop: await timed(hop, round * STEPS), echo: await timed(echo, round * STEPS) };
      if (round > 0) rounds.push(measured);
    }
    const ofHop = rounds.map((round) => median(round.hop));
    const ratios = rounds.map((round) => median(round.hop) / median(round.echo));
    const slow = rounds.flatMap((round) => round.hop).toSorted((a, b) => a - b);
    const at = (share: number): number => Number((slow[Math.floor(slow.length * share)] ?? 0).toPrecision(4));
    const facts = {
      p50: at(0.5),
      p95: at(0.95),
      p99: at(0.99),
      laps: slow.length,
      echo: median(rounds.map(({ echo: all }) => median(all))),
    };
    const common = { better: 'lower', quiet } as const;
    report.add({ ...common, name: 'hop.16KiB', value: median(ofHop), unit: 'ms', bar: BAR_MS, samples: ofHop, facts });
    const p99s = rounds.map((round) => round.hop.toSorted((a, b) => a - b)[Math.floor(STEPS * 0.99)] ?? 0);
    const last = { value: at(0.99), unit: 'ms', bar: BAR_P99_MS, samples: p99s };
    report.add({ ...common, name: 'hop.16KiB.p99', ...last });
    const ratio = { value: median(ratios), unit: 'ratio', bar: BAR_RATIO, samples: ratios };
    report.add({ ...common, name: 'hop.16KiB.echo', ...ratio });
  } finally {
    await overlay.close();
    child.disconnect();
  }
  return report.exitCode();
}

async function died(child: ChildProcess): Promise<never> {
  const [code, signal] = await once(child, 'exit');
  throw new Error(`a process of the benchmark ended: ${code ?? signal}`);
}

/** Milliseconds of each step. */
async function timed(lap: Lap, from: number): Promise<number[]> {
  const samples: number[] = [];
  for (let step = 0; step < STEPS; step += 1) {
    const start = performance.now();
    await lap(from + step);
    samples.push(performance.now() - start);
  }
  return samples;
}

/** We are the client and the hop before at once. */
async function openHop(overlay: Overlay, peer: PeerId, sign: (message: Uint8Array) => Uint8Array): Promise<Lap> {
  const route = [
    { peer: overlay.self, from: 0 as ShardIndex, to: 1 as ShardIndex },
    { peer, from: 1 as ShardIndex, to: 2 as ShardIndex },
  ];
  const body = encodeOpen({
    salt: SALT,
    manifest: HOP_MODEL.hash,
    codec: 'f16',
    maxTokens: MAX_CONTEXT,
    route,
    hop: 1,
    sampling: { temperature: 0, topK: 0, topP: 1, seed: 0n },
  });
  const facts = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, from: overlay.self, to: peer };
  const request = signRequest({ ...facts, issuedAt: 100 as BlockNumber, body }, sign);
  const asClient = await open(overlay, peer, INFER_PROTOCOL);
  const answers = asClient.frames()[Symbol.asyncIterator]();
  await asClient.send(encodeMessage({ type: 'OPEN', request }));
  await expect(answers, 'ACCEPT');
  const asHop = await open(overlay, peer, INFER_PROTOCOL);
  const session = sessionIdOf(overlay.self, SALT);
  const row = Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i));
  const step = { type: 'STEP', session, hop: 1, count: 1, codec: 'f16', draw: true, spentUs: [1] } as const;
  return async (position) => {
    await asHop.send(encodeMessage({ ...step, position, tensor: rowsToBytes('f16', row) }));
    await expect(answers, 'TOKENS');
  };
}

async function openEcho(overlay: Overlay, peer: PeerId): Promise<Lap> {
  const stream = await open(overlay, peer, ECHO_PROTOCOL);
  const answers = stream.frames()[Symbol.asyncIterator]();
  return async () => {
    await stream.send([new Uint8Array(2 * WIDTH)]);
    await answers.next();
  };
}

function open(overlay: Overlay, peer: PeerId, protocol: string): Promise<FrameStream> {
  return overlay.openStream(peer, protocol, { maxFrameBytes: MAX_FRAME, signal: AbortSignal.timeout(10_000) });
}

/** Receipts come in between, behind every 32nd token. */
async function expect(answers: AsyncIterator<Uint8Array>, type: string): Promise<void> {
  for (;;) {
    const { value, done } = await answers.next();
    const message = done === true ? undefined : decodeMessage(value);
    if (message?.ok === true && message.value.type === type) return;
    if (message?.ok !== true || message.value.type !== 'RECEIPT') throw new Error(`no ${type} from the hop`);
  }
}
