// `npm test`: lint, the chain's hashes, all mocha suites; with --with-rust also the pallet's own tests. The last line is `N passed, N failed`.

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runBeside, runStep, type Step, type StepResult } from './steps.ts';

interface Count {
  readonly passed: number;
  readonly failed: number;
}

/** A step that is one check. */
function countStep({ ok }: StepResult): Count {
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Sums what a test runner printed; a runner that broke off without naming a failure counts as one. */
function countRunner({ ok, output }: StepResult, passedPattern: RegExp, failedPattern: RegExp): Count {
  const sum = (pattern: RegExp): number =>
    [...output.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  const count = { passed: sum(passedPattern), failed: sum(failedPattern) };
  return ok || count.failed > 0 ? count : { ...count, failed: 1 };
}

/** Programs that keep no pace with blocks. */
const UNHURRIED = 'test/e2e/{cli*,keep-ends,model,openai,page,programs,relay}.spec.ts';

/** Two lists beside each other, for much of the time goes into waiting for a core. Alone comes what has to keep the pace of a network, whose blocks do not wait. */
const BESIDE = [
  mocha('tests (1 of 3)', ['test/{unit,sim,compliance}/**/*.spec.ts']),
  mocha('tests (2 of 3)', [UNHURRIED]),
];
const ALONE = mocha('tests (3 of 3)', ['test/e2e/*.spec.ts', '--ignore', UNHURRIED]);

function mocha(name: string, files: readonly string[]): Step {
  return {
    name,
    command: 'mocha',
    args: files,
    minutes: 70,
    told: /^\s*\d+ passing/m,
    // for processes and threads that tests start
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') },
  };
}

const countMocha = (result: StepResult): Count => countRunner(result, /^\s*(\d+) passing/gm, /^\s*(\d+) failing/gm);

const node = process.execPath;
const counts = [
  countStep(await runStep({ name: 'lint', command: node, args: ['scripts/lint.ts'] })),
  countStep(await runStep({ name: 'chain hashes', command: node, args: ['scripts/chain/check.ts'] })),
  ...(await runBeside(BESIDE)).map(countMocha),
  countMocha(await runStep(ALONE)),
];
if (process.argv.includes('--with-rust')) {
  const rust = await runStep({ name: 'pallet', command: 'bash', args: ['scripts/chain/test.sh'] });
  counts.push(countRunner(rust, /^test result: .* (\d+) passed/gm, /^test result: .* (\d+) failed/gm));
}
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
