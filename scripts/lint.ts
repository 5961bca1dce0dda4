// `npm run lint`: format and lint rules, types, floors and cycles, unused exports. Every check runs, also after a failed one.

import { runStep } from './steps.ts';

const results = [
  await runStep('format', 'biome', ['ci', '--error-on-warnings', '.']),
  await runStep('types', 'tsc', ['-p', '.', '--noEmit']),
  await runStep('types of the page', 'tsc', ['-p', 'web']),
  await runStep('floors', 'depcruise', ['--config', '.dependency-cruiser.cjs', 'src']),
  await runStep('unused', 'knip', ['--no-progress']),
];
const broken = results.filter((result) => !result.ok).map((result) => result.name);
console.log(broken.length === 0 ? '\nlint: all fine' : `\nlint: broken: ${broken.join(', ')}`);
process.exitCode = broken.length === 0 ? 0 : 1;
