// `npm run lint`: format and lint rules, types, floors and cycles, unused exports. Every check runs, also after a failed one.

import { runStep } from './steps.ts';

const results = [
  await runStep({ name: 'format', command: 'biome', args: ['ci', '--error-on-warnings', '.'] }),
  await runStep({ name: 'types', command: 'tsc', args: ['-p', '.', '--noEmit'] }),
  await runStep({ name: 'types of the page', command: 'tsc', args: ['-p', 'web'] }),
  await runStep({ name: 'floors', command: 'depcruise', args: ['--config', '.dependency-cruiser.cjs', 'src'] }),
  await runStep({ name: 'unused', command: 'knip', args: ['--no-progress'] }),
];
const broken = results.filter((result) => !result.ok).map((result) => result.name);
console.log(broken.length === 0 ? '\nlint: all fine' : `\nlint: broken: ${broken.join(', ')}`);
process.exitCode = broken.length === 0 ? 0 : 1;
