// `npm run model:mutants -- [COUNT] [SEED]`: damages so many graphs of small random models, of every kind and format, and of other people's; what the
// rules of safe loading let through is loaded and run, each thousand in a process of its own. Exits 1 when one of these dies.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publishGraph } from '../../src/engine/publish-graph.ts';
import { WEIGHT_FORMATS } from '../../src/graph/formats.ts';
import { openModel } from '../../src/model/open.ts';
import { FOREIGN_GRAPHS } from '../../test/support/foreign-graphs.ts';
import { writeRandomEncoder } from '../../test/support/random-encoder.ts';
import { writeRandomModel } from '../../test/support/random-model.ts';

const PROGRAM = fileURLToPath(new URL('../../test/support/load-mutants.ts', import.meta.url));
const [count = 100_000, seed = 20_261_121] = process.argv.slice(2).map(Number);
/** Of one process: what a mutant may leave behind in native memory ends with it. */
const PER_PROCESS = 1000;
/** A damaged size may ask for any memory: what is no more to be had is an error of the runtime, and no trouble of the machine. */
const LIMITED = 'ulimit -d 4194304 2>/dev/null; exec "$0" "$@"';
/** One that takes longer hangs. */
const PROCESS_TIMEOUT_MS = 20 * 60_000;
const run = promisify(execFile);

interface Graph {
  readonly folder: string;
  readonly file: string;
  readonly name: string;
}

async function writeGraphs(root: string): Promise<Graph[]> {
  const graphs: Graph[] = [];
  for (const format of WEIGHT_FORMATS)
    for (const kind of ['decoder', 'encoder'] as const) {
      const folder = join(root, `${kind}-${format}`);
      const traits = { tie: false, qkvBias: true, qkNorm: true, window: 4 };
      if (kind === 'decoder') await writeRandomModel(folder, { blocks: 1, shards: 1, maxContext: 64, format, traits });
      else await writeRandomEncoder(folder, { format, shardBlocks: [3] });
      const [shard] = (await openModel(folder)).manifest.shards;
      for (const file of new Set([shard?.graph ?? '', shard?.det.graph ?? '']))
        graphs.push({ folder, file, name: `${kind} ${file.replace('.onnx', '')}` });
    }
  for (const [name, make] of Object.entries(FOREIGN_GRAPHS)) {
    const folder = join(root, `foreign-${name}`);
    await writeFile(`${folder}.onnx`, make());
    const { manifest } = await publishGraph(folder, `${folder}.onnx`, { name, license: 'MIT', parts: 1 });
    graphs.push({ folder, file: manifest.shards[0]?.graph ?? '', name: `foreign ${name}` });
  }
  return graphs;
}

const root = mkdtempSync(join(tmpdir(), 'tessera-mutants-'));
const totals = { broken: 0, refused: 0, failed: 0, ran: 0 };
let crashed = 0;
try {
  const graphs = await writeGraphs(root);
  const processes = Math.ceil(count / PER_PROCESS);
  const table = new Map(graphs.map(({ name }) => [name, { broken: 0, refused: 0, failed: 0, ran: 0 }]));
  for (let i = 0; i < processes; i++) {
    const { folder, file, name } = graphs[i % graphs.length] as Graph;
    const own = Math.min(PER_PROCESS, count - i * PER_PROCESS);
    try {
      const args = [process.execPath, PROGRAM, folder, file, `${seed + i}`, `${own}`, 'all'];
      const { stdout } = await run('/bin/sh', ['-c', LIMITED, ...args], {
        env: { ...process.env, NODE_NO_WARNINGS: '1' },
        timeout: PROCESS_TIMEOUT_MS,
      });
      const outcomes = JSON.parse(stdout) as typeof totals;
      const row = table.get(name);
      for (const key of Object.keys(totals) as (keyof typeof totals)[]) {
        totals[key] += outcomes[key];
        if (row !== undefined) row[key] += outcomes[key];
      }
    } catch (error) {
      crashed++;
      process.stderr.write(`${name}, seed ${seed + i}: ${String(error).split('\n')[0]}\n`);
    }
  }
  process.stdout.write(
    '| graph | break a rule | refused by the runtime | fail in a run | run |\n|---|---|---|---|---|\n',
  );
  for (const [name, { broken, refused, failed, ran }] of table)
    process.stdout.write(`| ${name} | ${broken} | ${refused} | ${failed} | ${ran} |\n`);
  process.stdout.write(
    `| all | ${totals.broken} | ${totals.refused} | ${totals.failed} | ${totals.ran} |\n${crashed} of ${processes} processes died\n`,
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
process.exitCode = crashed === 0 ? 0 : 1;
