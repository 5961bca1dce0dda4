// `npm run wire:frames -- --count 1000000 --seed 1`: damaged frames and requests through every decoder that strangers reach; exits 1 when one throws.

import { parseArgs } from 'node:util';
import { sendFrames } from '../../test/sim/frames.ts';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const figures = sendFrames(Number(values.count), Number(values.seed), (done) => void process.stderr.write(`${done}\n`));
const { frames, taken, thrown, before, most, seconds } = figures;
process.stdout.write(
  `${frames} frames from seed ${values.seed} in ${Math.round(seconds)} s; taken ${taken} times, thrown ${thrown.length}; memory behind the first tenth ${before.toFixed(1)} MiB, later at most ${most.toFixed(1)} MiB\n`,
);
for (const one of thrown.slice(0, 5)) process.stdout.write(`${one}\n`);
process.exitCode = thrown.length === 0 ? 0 : 1;
