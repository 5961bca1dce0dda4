// `npm run bench -- NAME [--json] [--only PART] [--threads N] [--dir FOLDER]`: prints one line per figure; exits 1 when a bar is missed on a quiet machine.

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BenchOptions } from '../test/bench/options.ts';

const BENCHMARKS: Readonly<Record<string, () => Promise<(options: BenchOptions) => Promise<number>>>> = {
  engine: async () => (await import('../test/bench/engine/main.ts')).benchEngine,
  speculation: async () => (await import('../test/bench/speculation.ts')).benchSpeculation,
  faults: async () => (await import('../test/bench/faults.ts')).benchFaults,
  devchain: async () => (await import('../test/bench/devchain.ts')).benchDevchain,
  hop: async () => (await import('../test/bench/hop.ts')).benchHop,
  audit: async () => (await import('../test/bench/audit.ts')).benchAudit,
  gateway: async () => (await import('../test/bench/gateway.ts')).benchGateway,
  flood: async () => (await import('../test/bench/flood.ts')).benchFlood,
  route: async () => (await import('../test/bench/route.ts')).benchRoute,
  records: async () => (await import('../test/bench/records.ts')).benchRecords,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    dir: { type: 'string' },
    threads: { type: 'string' },
  },
});
const [name = ''] = positionals;
const load = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
if (load === undefined) {
  process.stderr.write(
    `usage: npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [--json] [--only PART] [--threads N] [--dir FOLDER]\n`,
  );
  process.exitCode = 2;
} else {
  const bench = await load();
  const folder = values.dir ?? join(tmpdir(), 'tessera-bench');
  const note = (line: string) => void process.stderr.write(`${line}\n`);
  process.exitCode = await bench({
    folder,
    json: values.json,
    only: values.only,
    threads: values.threads === undefined ? undefined : Number(values.threads),
    note,
  });
}
