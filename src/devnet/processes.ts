// The nodes of a development network as processes of their own: starts `tessera run --json`, reads its events line by line, stops it.

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type NodePlan, shardsText } from './plan.ts';

const MAIN = fileURLToPath(new URL('../../bin/tessera.js', import.meta.url));
/** How long a node may take to leave before it is killed. */
const STOP_PATIENCE_MS = 5_000;

/** A line that `tessera run --json` printed. */
export interface NodeEvent {
  readonly event: string;
  readonly [fact: string]: unknown;
}

export interface NodeProcess {
  readonly plan: NodePlan;
  readonly pid: number | undefined;
  /** What to type to start it again. */
  readonly commandLine: string;
  alive(): boolean;
  /** SIGTERM, then SIGKILL; resolves when it is gone. */
  stop(): Promise<void>;
}

export interface NodeCommand {
  /** Endpoints of the chain, tried in order. */
  readonly rpc: readonly string[];
  readonly subnet: number;
  readonly model: string;
}

/** Starts a node; stderr goes to `<dataDir>/node.log`. */
export async function startNode(
  plan: NodePlan,
  command: NodeCommand,
  listener: { readonly onEvent: (event: NodeEvent) => void; readonly onExit: (code: number | null) => void },
): Promise<NodeProcess> {
  await mkdir(plan.dataDir, { recursive: true, mode: 0o700 });
  const args = nodeArguments(plan, command);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr.pipe(createWriteStream(join(plan.dataDir, 'node.log'), { flags: 'a' }));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = parseEvent(line);
    if (event !== undefined) listener.onEvent(event);
  });
  const gone = new Promise<void>((resolve) => {
    child.once('close', (code) => {
      listener.onExit(code);
      resolve();
    });
  });
  return {
    plan,
    pid: child.pid,
    commandLine: `npm run node -- ${args.join(' ')}`,
    alive: () => isRunning(child),
    stop: () => stopProcess(child, gone),
  };
}

function nodeArguments(plan: NodePlan, { rpc, subnet, model }: NodeCommand): string[] {
  const shards = plan.role === 'hoster' ? ['--shards', shardsText(plan.shards)] : [];
  return [
    ...['run', '--json', '--role', plan.role, ...shards],
    ...[
      '--data-dir',
      plan.dataDir,
      '--hotkey',
      plan.hotkey,
      '--rpc',
      ...rpc,
      '--subnet-id',
      String(subnet),
      '--model',
      model,
    ],
    ...['--host-maddrs', `/ip4/127.0.0.1/tcp/${plan.port}`, '--threads', '1', '--log-level', 'info'],
  ];
}

function parseEvent(line: string): NodeEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'event' in value ? (value as NodeEvent) : undefined;
  } catch {
    return undefined; // not a line of ours: a library that prints
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function stopProcess(child: ChildProcess, gone: Promise<void>): Promise<void> {
  if (!isRunning(child)) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
  await gone;
  clearTimeout(timer);
}
