// Where a benchmark runs, and whether it has the machine to itself: a figure from a busy machine is no figure.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Instruction sets that decide which kernels run. */
const ISA = ['avx2', 'avx512f', 'avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp', 'i8mm'];
const SAMPLE_MS = 500;
/** Share of one core that others may use. */
const OTHERS_ALLOWED = 0.08;

export function describeMachine(): object {
  const [first] = cpus();
  const flags = new Set(
    read('/proc/cpuinfo')
      .match(/^(?:flags|Features)\s*:.*$/m)?.[0]
      .split(/\s+/),
  );
  return {
    cpu: first?.model.trim(),
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    isa: ISA.filter((name) => flags.has(name)),
    node: process.version,
    commit: commit(),
    load: loadavg().map((value) => Math.round(value * 100) / 100),
  };
}

/** Waits until nobody else works, at most `patienceMs`; answers whether that came to be. All processes of the benchmark must be idle. */
export async function waitForQuiet(patienceMs: number): Promise<boolean> {
  for (let waited = 0; ; waited += SAMPLE_MS) {
    const before = busySeconds();
    await sleep(SAMPLE_MS);
    if ((busySeconds() - before) * 1000 < OTHERS_ALLOWED * SAMPLE_MS) return true;
    if (waited >= patienceMs) return false;
  }
}

/** Processor time of the whole machine so far, seconds; Linux counts in hundredths. */
function busySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = read('/proc/stat')
    .split('\n', 1)
    .join('')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / 100;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
