// Plays the seasons that it is told, one after the other, in a thread of its own.

import { parentPort } from 'node:worker_threads';
import { playSeason, type Scene } from './play.ts';

const unhandled: string[] = [];
process.on('unhandledRejection', (error) => unhandled.push(String(error)));

parentPort?.on('message', async (scene: Scene) => {
  const season = await playSeason(scene);
  parentPort?.postMessage({ ...season, failed: [...season.failed, ...unhandled.splice(0)] });
});
