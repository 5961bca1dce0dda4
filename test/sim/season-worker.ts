// Plays the seasons that it is told, one after the other, in a thread of its own.

import { parentPort } from 'node:worker_threads';
import { playSeason, type Scene } from './play.ts';

const unhandled: string[] = [];
process.on('unhandledRejection', (error) => unhandled.push(String(error)));

/** What is wrong with the simulation itself ends the thread. */
function end(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

parentPort?.on('message', (scene: Scene) => {
  playSeason(scene).then((season) => {
    parentPort?.postMessage({ ...season, failed: [...season.failed, ...unhandled.splice(0)] });
  }, end);
});
