// The thread or process that owns ONNX Runtime: takes requests, runs them one native run at a time, answers (engine.md 3.3). It trusts the main thread,
// which has checked every file, position and size.

import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../util/errors.ts';
import { type CacheId, rowCount } from './backend.ts';
import { runtimeVersion } from './binding.ts';
import { chooseDevice } from './device.ts';
import { type LaneData, type LaneReply, type LaneRequest, type LaneValue, transferOf } from './lane-protocol.ts';
import type { Chosen, LaneWork, RunRequest } from './lane-work.ts';
import { chooseJobs, createTurns, gatherMs, nextClaim } from './schedule.ts';
import { EngineError, type EngineErrorFacts } from './types.ts';

/** Requests that wait their turn; `cancel` never does. */
type Queued = Exclude<LaneRequest, { op: 'cancel' }>;

/** The decodes that ran last, if any did, and how long they took. */
interface LastBatch {
  readonly caches: readonly CacheId[];
  readonly ms: number;
}

/** The other end, wherever that is. */
interface Port {
  post(message: LaneReply, transfer: ArrayBuffer[]): void;
  onRequest(listener: (request: LaneRequest) => void): void;
  close(): void;
}

/** What cannot be started says why, and ends. */
async function openLane(port: Port, data: LaneData): Promise<void> {
  try {
    startLane(port, await chooseDevice(data));
  } catch (error) {
    port.post({ op: 'unusable', facts: factsOf(error), message: errorMessage(error) }, []);
    port.close();
  }
}

function startLane(port: Port, { work, place }: Chosen): void {
  const queue: Queued[] = [];
  const turns = createTurns();
  let busy = false;

  const reply = (message: LaneReply, transfer: ArrayBuffer[] = []) => port.post(message, transfer);
  const done = (id: number, value: LaneValue) => reply({ op: 'done', id, value }, transferOf(value));
  const failed = (id: number, error: unknown) =>
    reply({ op: 'failed', id, facts: factsOf(error), message: errorMessage(error) });

  const runSteps = async (requests: readonly RunRequest[]): Promise<void> => {
    const [first] = requests;
    if (first === undefined) return;
    try {
      const results = await work.run(requests);
      for (const [i, request] of requests.entries()) done(request.id, results[i] ?? null);
    } catch (error) {
      // One bad row must not fail its neighbours: they run again alone, which writes the same cache entries again.
      if (requests.length === 1) failed(first.id, error);
      else for (const request of requests) await runSteps([request]);
    }
  };
  const runOther = async (request: Exclude<Queued, RunRequest>): Promise<void> => {
    try {
      done(request.id, await perform(work, request));
      if (request.op === 'close') port.close();
    } catch (error) {
      failed(request.id, error);
    }
  };
  const take = <T extends Queued = Queued>(ids: readonly number[]): T[] =>
    ids.flatMap((id) =>
      queue.splice(
        queue.findIndex((request) => request.id === id),
        1,
      ),
    ) as T[];
  /** Lets the port deliver all that has come, and the rest of the last batch come back: it may share the next one. */
  const gather = async (last: LastBatch): Promise<void> => {
    const until = performance.now() + gatherMs(last.ms);
    const missing = () =>
      last.caches.some((cache) => !queue.some((request) => 'cache' in request && request.cache === cache));
    do await new Promise((resolve) => setImmediate(resolve));
    while (performance.now() < until && missing());
  };
  const drain = async (): Promise<void> => {
    let last: LastBatch = { caches: [], ms: 0 };
    let claim = 0;
    while (queue.length > 0) {
      await gather(last);
      for (const request of take<Instant>(queue.filter(isInstant).map(({ id }) => id))) await runOther(request);
      const jobs = queue.map((request) => waiting(work, request));
      const chosen = take(
        chooseJobs(jobs, {
          othersTurn: claim === 0 && last.caches.length > 0,
          mayIdle: work.mayIdle,
          nextOwner: turns.next,
        }),
      );
      if (chosen.length === 0) continue;
      const begin = performance.now();
      await runSteps(chosen.filter((request) => request.op === 'run'));
      for (const request of chosen) if (request.op !== 'run') await runOther(request);
      const decodes = chosen.flatMap((request) => (request.op === 'run' && isDecode(request) ? [request.cache] : []));
      last = { caches: decodes, ms: performance.now() - begin };
      claim = nextClaim(claim, decodes.length > 0 ? 'decodes' : 'other', last.ms);
      for (const request of chosen) if (takesTurns(request)) turns.took(ownerOf(work, request), last.ms);
    }
    busy = false;
  };
  const cancel = (target: number) => {
    const place = queue.findIndex((request) => request.id === target);
    if (place < 0) return;
    queue.splice(place, 1);
    failed(target, new EngineError({ code: 'E_ABORTED', length: 0 }, 'aborted'));
  };

  port.onRequest((request) => {
    if (request.op === 'cancel') {
      cancel(request.target);
      return;
    }
    queue.push(request);
    if (busy) return;
    busy = true;
    void drain();
  });
  reply({ op: 'ready', ...place, version: runtimeVersion });
}

async function perform(work: LaneWork, request: Exclude<Queued, RunRequest>): Promise<LaneValue> {
  switch (request.op) {
    case 'load':
      await work.load(request.files);
      return null;
    case 'unload':
      await work.unload(request.shard);
      return null;
    case 'open':
      work.open(request.cache, request.spec);
      return null;
    case 'free':
      work.free(request.cache);
      return null;
    case 'compute':
      return work.compute(request);
    case 'challenge':
      return work.challenge(request.shard, request.rows);
    case 'close':
      await work.release();
      return null;
  }
}

type Instant = Extract<Queued, { op: 'open' | 'free' }>;

/** What runs nothing, and so waits for nobody. */
function isInstant(request: Queued): request is Instant {
  return request.op === 'open' || request.op === 'free';
}

type Owned = RunRequest | Extract<Queued, { op: 'compute' }>;

/** Work of somebody that runs alone. */
function takesTurns(request: Queued): request is Owned {
  return request.op === 'compute' || (request.op === 'run' && !isDecode(request));
}

function ownerOf(work: LaneWork, request: Owned): string {
  return request.op === 'compute' ? request.owner : work.owner(request.cache);
}

/** One row of a session: what may share a batch. */
function isDecode(request: Queued): boolean {
  return request.op === 'run' && rowCount(request.rows) === 1;
}

function waiting(work: LaneWork, request: Queued) {
  if (request.op === 'compute') return { id: request.id, owner: request.owner };
  if (request.op !== 'run') return { id: request.id, duty: request.op === 'challenge' };
  if (isDecode(request)) return { id: request.id, place: work.place(request.cache) };
  return { id: request.id, owner: work.owner(request.cache) };
}

function factsOf(error: unknown): EngineErrorFacts {
  return error instanceof EngineError ? error.facts : { code: 'E_RUN', reason: errorMessage(error) };
}

function threadPort(port: NonNullable<typeof parentPort>): Port {
  return {
    post: (message, transfer) => port.postMessage(message, transfer),
    onRequest: (listener) => port.on('message', listener),
    close: () => port.close(),
  };
}

/** It ends with the process that started it, and only with that: signals to a whole group of processes are for the other one. */
function processPort(): Port {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.on('disconnect', () => process.exit(0));
  return {
    post: (message) => void process.send?.(message),
    onRequest: (listener) => process.on('message', (request) => listener(request as LaneRequest)),
    close: () => process.disconnect(),
  };
}

if (parentPort !== null) await openLane(threadPort(parentPort), workerData as LaneData);
else if (process.send !== undefined) await openLane(processPort(), JSON.parse(process.argv[2] ?? '') as LaneData);
