// A lock file: who holds it is written inside, so that the lock of a process that died does not count. On Linux the holder is known by its
// start time too, because process ids come again (in containers soon); elsewhere by its id alone.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { CodedError, errorCode } from '../util/errors.ts';

export class LockedError extends CodedError<{ code: 'FILE_LOCKED'; path: string; pid: number }> {
  constructor(path: string, pid: number) {
    super({ code: 'FILE_LOCKED', path, pid }, `${path} is held by process ${pid}`);
  }
}

/** Answers how to release it; throws LockedError, or what the file system says. */
export function takeLock(path: string): () => void {
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}`;
  try {
    writeFileSync(path, mine, { flag: 'wx' });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    const [pid = '', start = ''] = readFileSync(path, 'utf8').split(' ');
    if (holds(Number(pid), start)) throw new LockedError(path, Number(pid));
    writeFileSync(path, mine);
  }
  return () => rmSync(path, { force: true });
}

function holds(pid: number, start: string): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  return process.platform === 'linux' ? startOf(pid) === start : isAlive(pid);
}

/** Clock ticks from boot to the start of a living process (proc(5), fields 3 and 22 of stat); undefined for dead ones and on other systems. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

/** Signal 0 asks without disturbing; EPERM means alive but someone else's. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}
