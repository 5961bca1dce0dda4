// `npm test`: lint, the chain's hashes, all mocha suites; with --with-rust also the pallet's own tests. The last line is `N passed, N failed`.

import { runStep, type StepResult } from './steps.ts';

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

/** From the fast and pure to whole networks of processes. */
const SUITES = [
  'test/unit/**/*.spec.ts',
  'test/sim/**/*.spec.ts',
  'test/compliance/**/*.spec.ts',
  'test/e2e/**/*.spec.ts',
];

const node = process.execPath;
const counts = [
  countStep(await runStep('lint', node, ['scripts/lint.ts'])),
  countStep(await runStep('chain hashes', node, ['scripts/chain/check.ts'])),
  countRunner(
    await runStep('tests', 'mocha', SUITES, { minutes: 70, told: /^\s*\d+ passing/m }),
    /^\s*(\d+) passing/gm,
    /^\s*(\d+) failing/gm,
  ),
];
if (process.argv.includes('--with-rust')) {
  const rust = await runStep('pallet', 'bash', ['scripts/chain/test.sh']);
  counts.push(countRunner(rust, /^test result: .* (\d+) passed/gm, /^test result: .* (\d+) failed/gm));
}
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
