// Takes and releases a lock as its standard input says; store.spec.ts has several of it race.

import { createInterface } from 'node:readline';
import { LockedError, takeLock } from '../../../src/devchain/lock.ts';

const [path = ''] = process.argv.slice(2);
let release = (): void => undefined;

function take(): string {
  try {
    release = takeLock(path);
    return 'has it';
  } catch (error) {
    if (error instanceof LockedError) return 'refused';
    throw error;
  }
}

process.stdout.write('ready\n');
for await (const word of createInterface({ input: process.stdin })) {
  if (word === 'take') process.stdout.write(`${take()}\n`);
  else {
    release();
    release = () => undefined;
    process.stdout.write('released\n');
  }
}
