// Where a lane runs: a thread of this process, or a process of its own, which native code may crash or hang without taking this one with it (engine.md 3.3).

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { errorMessage } from '../util/errors.ts';
import type { LaneData, LaneReply, LaneRequest } from './lane-protocol.ts';

export type Isolation = 'thread' | 'process';

export interface LaneHost {
  /** Of a process of its own. */
  readonly pid: number | undefined;
  /** Buffers move to a thread, and are copied to a process. */
  post(request: LaneRequest, transfer: ArrayBuffer[]): void;
  /** Ends it whatever it does. A thread that hangs in native code stays, and is not waited for by anybody but the end of the process. */
  kill(): void;
}

export interface LaneEvents {
  heard(reply: LaneReply): void;
  /** Once or more often; nothing is heard afterwards. */
  ended(reason: string): void;
}

export function hostLane(isolation: Isolation, file: URL, data: LaneData, events: LaneEvents): LaneHost {
  return isolation === 'thread' ? inThread(file, data, events) : inProcess(file, data, events);
}

function inThread(file: URL, data: LaneData, events: LaneEvents): LaneHost {
  // Flags of the process (--eval and its like) are not for the worker.
  const worker = new Worker(file, { workerData: data, name: 'tessera-lane', execArgv: [] });
  worker.on('message', (reply: LaneReply) => events.heard(reply));
  worker.on('error', (error) => events.ended(errorMessage(error)));
  worker.on('exit', (code) => events.ended(`exit code ${code}`));
  return {
    pid: undefined,
    post: (request, transfer) => worker.postMessage(request, transfer),
    kill: () => void worker.terminate(),
  };
}

function inProcess(file: URL, data: LaneData, events: LaneEvents): LaneHost {
  const child = fork(fileURLToPath(file), [JSON.stringify(data)], {
    serialization: 'advanced',
    execArgv: [],
    env: { GLIBC_TUNABLES: HUGE_PAGES, ...innocentVariables() },
    stdio: ['ignore', 2, 2, 'ipc'], // what a person reads on stdout is not the lane's
  });
  child.on('message', (reply) => events.heard(reply as LaneReply));
  child.on('error', (error) => events.ended(errorMessage(error)));
  child.on('exit', (code, signal) => events.ended(signal === null ? `exit code ${code}` : `killed by ${signal}`));
  return {
    pid: child.pid,
    // The end of a process that cannot be told anything is heard as `exit`.
    post: (request) => void (child.connected && child.send(request, () => undefined)),
    kill: () => void child.kill('SIGKILL'),
  };
}

/**
 * Weights on pages of 2 MiB, where the system gives them to whoever asks: reading them once per token takes about a tenth less time (docs/engine.md, Memory).
 * glibc reads this when a process starts, so that a thread has what its process was started with.
 */
const HUGE_PAGES = 'glibc.malloc.hugetlb=1';

/** Passphrases and tokens are no business of native code. */
function innocentVariables(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TESSERA|HF)_/.test(name)));
}
