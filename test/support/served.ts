// A session served by hops in this process, each with an engine of its own: the rows, receipts and answers to auditors that real hosters
// would have, without a network between them. A hop may cheat.

import { floatOfBits } from '../../src/consensus/challenge.ts';
import type { Engine, Rows } from '../../src/engine/types.ts';
import { cutShards } from '../../src/model/manifest.ts';
import type { Model } from '../../src/model/open.ts';
import { sampleToken } from '../../src/model/sample.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import type { Judged, JudgedShard } from '../../src/receipts/judge.ts';
import { type ReplayModel, replayBorders } from '../../src/receipts/replay.ts';
import { createTranscript, type Transcript } from '../../src/receipts/transcript.ts';
import type { BlockNumber, ShardIndex } from '../../src/types/ids.ts';
import { signRequest } from '../../src/wire/envelope.ts';
import {
  encodeOpen,
  INFER_PROTOCOL,
  OPEN_METHOD,
  roundSampling,
  type Sampling,
  type SessionSalt,
  sessionIdOf,
} from '../../src/wire/infer.ts';
import { type Receipt, type Signed, signReceipt } from '../../src/wire/receipt.ts';
import { bytesToRows, idsToBytes, rowsToBytes } from '../../src/wire/tensor.ts';

const PREFILL_ROWS = 64;
const BLOCK = 7 as BlockNumber;
const client = identityFromSeed(new Uint8Array(32).fill(77));

export interface ServedHop {
  readonly engine: Engine;
  readonly from: number;
  readonly to: number;
  /** Signs and gives other rows than it computed. */
  readonly alter?: (rows: Float32Array, position: number) => Float32Array;
}

export interface ServedOptions {
  readonly model: Model;
  readonly hops: readonly ServedHop[];
  readonly prompt: readonly number[];
  /** Tokens to draw, one by one. */
  readonly tokens: number;
  readonly sampling?: Sampling;
  readonly salt?: number;
}

export interface Served {
  readonly tokens: readonly number[];
  /** Milliseconds that each hop computed. */
  readonly spentMs: readonly number[];
  /** Of each hop, in order, ready to be judged. */
  readonly judged: readonly (readonly Judged[])[];
  /** As the hop's own engine computes them. */
  bordersOf(judged: Judged, signal: AbortSignal): Promise<readonly Float32Array[]>;
}

const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1, seed: 0n };

/** Prompt in chunks of 64 rows, then token after token. */
export async function serveSession(options: ServedOptions): Promise<Served> {
  const { model, hops, prompt, tokens: wanted } = options;
  const sampling = roundSampling(options.sampling ?? GREEDY);
  const salt = (options.salt ?? 0).toString(16).padStart(32, '0') as SessionSalt;
  const session = sessionIdOf(client.peer, salt);
  const identities = hops.map((_, i) => identityFromSeed(new Uint8Array(32).fill(i + 1)));
  const runs = hops.map(({ from, to }) => ({ from: from as ShardIndex, to: to as ShardIndex }));
  const shards = judgedShards(model);
  const maxTokens = prompt.length + wanted;
  const manifest = model.hash;
  const codec = 'f16' as const;
  const transcripts = runs.map((run, i) =>
    createTranscript({
      session,
      manifest,
      codec,
      run,
      next: runs[i + 1],
      rms: shards[run.to - 1]?.rms ?? 1,
      keeps: true,
    }),
  );
  const receipts: Signed<Receipt>[][] = hops.map(() => []);
  const spentMs = hops.map(() => 0);
  const sessions = await Promise.all(
    hops.map(({ engine }, i) =>
      engine.openSession(runs[i] ?? { from: 0 as ShardIndex, to: 1 as ShardIndex }, {
        maxTokens,
        owner: 'served',
        codec,
      }),
    ),
  );

  /** The rows through all hops; the token drawn behind them. */
  async function step(position: number, ids: readonly number[]): Promise<number> {
    let tensor = idsToBytes(ids);
    let rows: Rows = { kind: 'tokens', ids: Int32Array.from(ids) };
    for (const [i, kv] of sessions.entries()) {
      const transcript = transcripts[i] as Transcript;
      const began = performance.now();
      const result = await kv.step(position, rows);
      spentMs[i] = (spentMs[i] ?? 0) + performance.now() - began;
      transcript.take(position, ids.length, tensor);
      if (result.kind === 'top') {
        const { id } = sampleToken(result.top, sampling, position + ids.length);
        transcript.draw(position + ids.length, id, result.top);
        give(i, false);
        return id;
      }
      const data = hops[i]?.alter?.(result.data, position) ?? result.data;
      tensor = rowsToBytes(codec, data);
      transcript.give(position, data, tensor);
      give(i, false);
      const next = bytesToRows(codec, tensor, ids.length, model.manifest.shape.width);
      if (!next.ok) throw new RangeError(next.why);
      rows = { kind: 'hidden', data: next.value, count: ids.length };
    }
    throw new RangeError('the hops do not end the model');
  }

  function give(hop: number, ended: boolean): void {
    const identity = identities[hop];
    const transcript = transcripts[hop];
    if (identity === undefined || transcript === undefined) return;
    receipts[hop]?.push(...transcript.due(BLOCK, ended).map((receipt) => signReceipt(receipt, identity)));
  }

  const tokens: number[] = [];
  let last = 0;
  for (let at = 0; at < prompt.length; at += PREFILL_ROWS) last = await step(at, prompt.slice(at, at + PREFILL_ROWS));
  tokens.push(last);
  while (tokens.length < wanted) {
    last = await step(prompt.length + tokens.length - 1, [last]);
    tokens.push(last);
  }
  hops.forEach((_, i) => {
    give(i, true);
  });
  await Promise.all(sessions.map((kv) => kv.release()));

  const route = runs.map((run, i) => ({ ...run, peer: identities[i]?.peer ?? client.peer }));
  const judged = hops.map((_, hop) => {
    const to = route[hop]?.peer ?? client.peer;
    const open = { salt, manifest, codec, maxTokens, route, hop, ...(hop === hops.length - 1 ? { sampling } : {}) };
    const facts = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, from: client.peer, to, issuedAt: BLOCK };
    const request = signRequest({ ...facts, body: encodeOpen(open) }, client.sign);
    return (receipts[hop] ?? []).map(({ value: receipt }): Judged => {
      const end = receipt.position + receipt.count;
      const transcript = transcripts[hop] as Transcript;
      return { peer: to, hop, receipt, answer: { request, rows: transcript.rows(end), drawn: transcript.drawn(end) } };
    });
  });
  return {
    tokens,
    spentMs,
    judged,
    async bordersOf({ hop, receipt, answer }, signal) {
      const run = { from: receipt.from, to: receipt.to };
      const source = { session, codec, run, rows: answer.rows, end: receipt.position + receipt.count };
      return replayBorders(source, receipt, replayModel(model), hops[hop]?.engine as Engine, signal);
    },
  };
}

export function judgedShards(model: Model): readonly JudgedShard[] {
  return cutShards(model.manifest, 'default').map(({ rmsBits, tau, auditable }) => ({
    rms: floatOfBits(rmsBits),
    tau,
    auditable,
  }));
}

export function replayModel(model: Model): ReplayModel {
  const { width, vocab } = model.manifest.shape;
  return { hash: model.hash, width, vocab, shardCount: cutShards(model.manifest, 'default').length };
}
