// A lane that says it is ready and hangs in the first thing that it is asked for.

import { parentPort } from 'node:worker_threads';
import type { LaneReply } from '../../src/engine/lane-protocol.ts';

const ready: LaneReply = { op: 'ready', provider: 'cpu', why: 'it is a test', binding: 'plain', version: '0' };
parentPort?.postMessage(ready);
parentPort?.once('message', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
