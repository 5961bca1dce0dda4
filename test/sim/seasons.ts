// Many seasons on some threads: each season is one seed's, so it does not matter where and when it is played.

import { Worker } from 'node:worker_threads';
import type { Scene, Season } from './play.ts';

/** What lives for one block is dead when this is full. */
const YOUNG_MB = 128;
const FILE = new URL('./season-worker.ts', import.meta.url);

export interface Stage {
  /** In the order of the scenes; rejects with what a worker throws. */
  play(scenes: readonly Scene[]): Promise<readonly Season[]>;
  close(): Promise<void>;
}

export function createStage(threads: number): Stage {
  const workers = Array.from(
    { length: threads },
    () => new Worker(FILE, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } }),
  );

  function playOn(worker: Worker, scene: Scene): Promise<Season> {
    return new Promise((resolve, reject) => {
      worker.once('message', (season: Season) => {
        worker.off('error', reject);
        resolve(season);
      });
      worker.once('error', reject);
      worker.postMessage(scene);
    });
  }

  return {
    async play(scenes) {
      const seasons: Season[] = [];
      let next = 0;
      await Promise.all(
        workers.map(async (worker) => {
          for (let at = next++; at < scenes.length; at = next++) {
            seasons[at] = await playOn(worker, scenes[at] as Scene);
          }
        }),
      );
      return seasons;
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
