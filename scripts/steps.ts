// Runs commands one after the other for lint and test, showing their output and keeping it for counting.

import { spawn } from 'node:child_process';

export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly output: string;
}

/** Runs a command with its output shown; resolves whatever its exit code is. */
export async function runStep(name: string, command: string, args: readonly string[]): Promise<StepResult> {
  process.stdout.write(`\n== ${name}: ${command} ${args.join(' ')}\n`);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      process.stdout.write(chunk);
    });
  }
  const ok = await new Promise<boolean>((resolve) => {
    child.on('error', () => resolve(false));
    child.on('close', (code) => resolve(code === 0));
  });
  return { name, ok, output: Buffer.concat(chunks).toString() };
}
