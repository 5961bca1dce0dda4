// Runs `tessera` as a process: words in, JSON lines and exit code out. For end-to-end tests.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../bin/tessera.js', import.meta.url));

export interface Line {
  readonly event?: string;
  readonly [fact: string]: unknown;
}

export interface Finished {
  readonly code: number | null;
  readonly lines: readonly Line[];
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly lines: readonly Line[];
  /** What it has written to stderr so far. */
  told(): string;
  /** The first line, already printed or to come, that fits; rejects when the process ends without it. */
  waitFor(fits: (line: Line) => boolean): Promise<Line>;
  readonly finished: Promise<Finished>;
}

/** Environment without anything that would change defaults. */
function cleanEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TESSERA_'));
  return { ...Object.fromEntries(inherited), ...extra };
}

/** Those that run; a test that fails before it stops its own must not keep the whole run from ending. */
const alive = new Set<ChildProcess>();

after('no process outlives the tests', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** @param within a program that runs it, with its own arguments: `['ip', 'netns', 'exec', 'here']` */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  within: readonly string[] = [],
): Running {
  const [program = process.execPath, ...words] = [...within, process.execPath];
  const child = spawn(program, [...words, '--disable-warning=ExperimentalWarning', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(env),
  });
  alive.add(child);
  child.once('close', () => alive.delete(child));
  const lines: Line[] = [];
  const waiting = new Set<() => void>();
  let stdout = '';
  let stderr = '';
  let ended = false;
  const wake = (): void => {
    for (const look of waiting) look();
  };
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  createInterface({ input: child.stdout }).on('line', (text) => {
    stdout += `${text}\n`;
    if (!text.startsWith('{"')) return;
    lines.push(JSON.parse(text) as Line);
    wake();
  });
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (code) => {
      ended = true;
      wake();
      resolve({ code, lines, stdout, stderr });
    });
  });
  return {
    child,
    lines,
    told: () => stderr,
    finished,
    waitFor: (fits) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find(fits);
          if (found === undefined && !ended) return;
          waiting.delete(look);
          if (found !== undefined) resolve(found);
          else
            reject(
              new Error(`the process ended (exit ${child.exitCode}) without that line; stderr: ${stderr.slice(-2000)}`),
            );
        };
        waiting.add(look);
        look();
      }),
  };
}

export function runCli(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Finished> {
  return startCli(args, env).finished;
}

/** Ends a process kindly and waits for it. */
export async function stopCli(running: Running): Promise<Finished> {
  running.child.kill('SIGTERM');
  return running.finished;
}
