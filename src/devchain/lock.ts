// A lock file: who holds it is written inside, so that the lock of a process that died does not count. On Linux the holder is known by its
// start time too, because process ids come again (in containers soon); elsewhere by its id alone.

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CodedError, errorCode } from '../util/errors.ts';

export class LockedError extends CodedError<{ code: 'FILE_LOCKED'; path: string; pid: number }> {
  constructor(path: string, pid: number) {
    super({ code: 'FILE_LOCKED', path, pid }, `${path} is held by process ${pid}`);
  }
}

/** Answers how to release it; throws LockedError, or what the file system says. */
export function takeLock(path: string): () => void {
  if (!create(path)) {
    assertFree(path);
    takeOver(path);
  }
  return () => rmSync(path, { force: true });
}

/** Only who holds the lock beside it replaces a dead one's, and only after another look: two would believe that they have it. */
function takeOver(path: string): void {
  const release = takeLock(`${path}.takeover`);
  try {
    if (create(path)) return;
    assertFree(path);
    renameSync(writeBeside(path), path);
  } finally {
    release();
  }
}

/** Whether there was none. The name appears together with its content: an empty file would look like a dead one's. */
function create(path: string): boolean {
  const own = writeBeside(path);
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** A file of this process with what its lock says. */
function writeBeside(path: string): string {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, `${process.pid} ${startOf(process.pid) ?? ''}`);
  return own;
}

function assertFree(path: string): void {
  const [pid = '', start = ''] = readIfThere(path).split(' ');
  if (holds(Number(pid), start)) throw new LockedError(path, Number(pid));
}

/** Empty when its holder has just let go. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
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
