// Runs commands one after the other for lint and test, showing their output and keeping it for counting.

import { spawn } from 'node:child_process';

export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly output: string;
}

export interface StepLimits {
  /** Minutes after which a step is ended and has failed. */
  readonly minutes?: number;
  /** What the output says when all is told: from there on the process has a minute to end by itself. */
  readonly told?: RegExp;
}

/** Longer than the longest honest step on a slow machine: what hangs must not hang forever. */
const LIMIT_MINUTES = 45;
const LINGER_MS = 60_000;

/** Runs a command with its output shown; resolves whatever its exit code is, and when it had to be ended. */
export async function runStep(
  name: string,
  command: string,
  args: readonly string[],
  { minutes = LIMIT_MINUTES, told }: StepLimits = {},
): Promise<StepResult> {
  process.stdout.write(`\n== ${name}: ${command} ${args.join(' ')}\n`);
  // A group of its own, so that what it has started ends with it.
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const chunks: Buffer[] = [];
  let ended = false;
  const end = (why: string): void => {
    if (ended || child.pid === undefined) return;
    ended = true;
    process.stdout.write(`\n${name}: ${why}; ended\n`);
    process.kill(-child.pid, 'SIGKILL');
  };
  const limit = setTimeout(end, minutes * 60_000, `not done after ${minutes} minutes`);
  let linger: NodeJS.Timeout | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      process.stdout.write(chunk);
      if (told?.test(chunk.toString()))
        linger ??= setTimeout(end, LINGER_MS, 'has told its result and left something open');
    });
  }
  const stop = (): never => {
    end('interrupted');
    process.exit(130);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const ok = await new Promise<boolean>((resolve) => {
    child.on('error', () => resolve(false));
    child.on('close', (code) => resolve(code === 0));
  });
  process.off('SIGINT', stop).off('SIGTERM', stop);
  clearTimeout(limit);
  clearTimeout(linger);
  return { name, ok, output: Buffer.concat(chunks).toString() };
}
