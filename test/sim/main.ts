// `npm run sim`: adversaries and conditions, season by season, each with its seed; what breaks a bar is told with what plays it again.
// `--mutants`, `--crashes`, `--kills` and `--loopback` run the other long tests. `--table FILE` writes the figures into a page (docs/simulation.md).

import { parseArgs } from 'node:util';
import { runAdversaries, runCrashes, runKills, runLoopback, runMutants } from './runs.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '10' },
    epochs: { type: 'string', default: '30' },
    season: { type: 'string', default: '10' },
    loss: { type: 'string', default: '0.05' },
    delay: { type: 'string', default: '0.75' },
    adversary: { type: 'string', multiple: true },
    share: { type: 'string', default: String(1 / 3) },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    mutants: { type: 'string' },
    crashes: { type: 'string' },
    kills: { type: 'string' },
    loopback: { type: 'boolean', default: false },
    table: { type: 'string' },
  },
});

const seed = Number(values.seed);
const command = `npm run sim -- ${process.argv.slice(2).join(' ')}`;
const { table: file, mutants, crashes, kills } = values;
const target = { command, file };
if (mutants !== undefined) process.exitCode = runMutants(Number(mutants), seed, target);
else if (crashes !== undefined) process.exitCode = await runCrashes(Number(crashes), seed, target);
else if (kills !== undefined) process.exitCode = await runKills(Number(kills), seed, target);
else if (values.loopback) {
  process.exitCode = await runLoopback(Number(values.nodes), Number(values.epochs), target);
} else {
  const { nodes, epochs, season, loss, delay, share, threads } = values;
  process.exitCode = await runAdversaries(
    {
      names: values.adversary,
      epochs: Number(epochs),
      threads: Number(threads),
      scene: {
        nodes: Number(nodes),
        epochs: Math.min(Number(epochs), Number(season)),
        loss: Number(loss),
        delay: Number(delay),
        share: Number(share),
        seed,
      },
    },
    target,
  );
}
