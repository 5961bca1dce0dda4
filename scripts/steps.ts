// Runs commands for lint and test, one after the other or beside each other, showing their output and keeping it for counting.

import { type ChildProcess, spawn } from 'node:child_process';

export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly output: string;
}

export interface Step {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Minutes after which a step is ended and has failed. */
  readonly minutes?: number;
  /** What the output says when all is told: from there on the process has a minute to end by itself. */
  readonly told?: RegExp;
  /** Beside this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Longer than the longest honest step on a slow machine: what hangs must not hang forever. */
const LIMIT_MINUTES = 45;
const LINGER_MS = 60_000;

/** Each of a group of its own, so that what it has started ends with it. */
const running = new Set<ChildProcess>();

function kill({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL');
}

function endAll(): never {
  for (const child of running) kill(child);
  process.exit(130);
}

/** Runs a command with its output shown; resolves whatever its exit code is, and when it had to be ended. */
export async function runStep(step: Step, show: (text: string | Buffer) => void = write): Promise<StepResult> {
  const { name, command, args, minutes = LIMIT_MINUTES, told, env = {} } = step;
  show(`\n== ${name}: ${command} ${args.join(' ')}\n`);
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...env },
  });
  if (running.size === 0) process.on('SIGINT', endAll).on('SIGTERM', endAll);
  running.add(child);
  const chunks: Buffer[] = [];
  const end = (why: string): void => {
    if (!running.delete(child)) return;
    show(`\n${name}: ${why}; ended\n`);
    kill(child);
  };
  const limit = setTimeout(end, minutes * 60_000, `not done after ${minutes} minutes`);
  let linger: NodeJS.Timeout | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      show(chunk);
      if (told?.test(chunk.toString()))
        linger ??= setTimeout(end, LINGER_MS, 'has told its result and left something open');
    });
  }
  const ok = await new Promise<boolean>((resolve) => {
    child.on('error', () => resolve(false));
    child.on('close', (code) => resolve(code === 0));
  });
  running.delete(child);
  if (running.size === 0) process.off('SIGINT', endAll).off('SIGTERM', endAll);
  clearTimeout(limit);
  clearTimeout(linger);
  return { name, ok, output: Buffer.concat(chunks).toString() };
}

/** All at once. Of the first the output is shown as it comes, of each other one when those before it have ended: nothing is mixed. */
export async function runBeside(steps: readonly Step[]): Promise<StepResult[]> {
  const held = steps.map((): (string | Buffer)[] => []);
  const isOver = steps.map(() => false);
  let shown = 0;
  const turn = (): void => {
    for (; shown < steps.length; shown += 1) {
      for (const text of held[shown]?.splice(0) ?? []) write(text);
      if (isOver[shown] !== true) return;
    }
  };
  return Promise.all(
    steps.map(async (step, place) => {
      const result = await runStep(step, (text) => {
        held[place]?.push(text);
        if (place === shown) turn();
      });
      isOver[place] = true;
      turn();
      return result;
    }),
  );
}

function write(text: string | Buffer): void {
  process.stdout.write(text);
}
