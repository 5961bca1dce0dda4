// Files that their owner alone may read, and that never replace another.

import { writeFileSync } from 'node:fs';
import { errorCode } from '../util/errors.ts';
import { UsageError } from './exit.ts';

export function writeSecretFile(file: string, content: string | Uint8Array): void {
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o600, flush: true });
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw new UsageError(`${file} is there already; name another file`);
    throw error;
  }
}
