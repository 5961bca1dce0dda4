// Who is who in a development network: accounts, folders, ports and shards of every node. Pure but for the search of free ports.

import { createServer } from 'node:net';
import { join } from 'node:path';

export interface NodePlan {
  /** From 0. */
  readonly index: number;
  readonly role: 'hoster' | 'attestor';
  /** Shards to serve, empty for an attestor. */
  readonly shards: readonly number[];
  readonly coldkey: string;
  readonly hotkey: string;
  readonly dataDir: string;
  readonly port: number;
}

/** Funded owners of the development chain (chain.md 8). */
const COLDKEYS = 6;
/** `//dev:6` to `//dev:11` have funds of their own. */
const FIRST_HOTKEY = 6;
const LAST_FUNDED = 11;

export function planNodes(
  options: {
    readonly hosters: number;
    readonly attestors: number;
    readonly shardCount: number;
    readonly dataDir: string;
  },
  ports: readonly number[],
): NodePlan[] {
  return Array.from({ length: options.hosters + options.attestors }, (_, index) => {
    const role = index < options.hosters ? 'hoster' : 'attestor';
    return {
      index,
      role,
      shards: role === 'hoster' ? shardsOfHoster(index, options) : [],
      coldkey: `//dev:${index % COLDKEYS}`,
      hotkey: `//dev:${FIRST_HOTKEY + index}`,
      dataDir: join(options.dataDir, 'nodes', String(index + 1)),
      port: ports[index] ?? 0,
    };
  });
}

/** Hoster i serves every shard but shard i mod n, so nobody has all; a single hoster or a single shard leaves no such choice. */
function shardsOfHoster(
  index: number,
  { hosters, shardCount }: { readonly hosters: number; readonly shardCount: number },
): number[] {
  const all = Array.from({ length: shardCount }, (_, shard) => shard);
  return hosters === 1 || shardCount === 1 ? all : all.filter((shard) => shard !== index % shardCount);
}

/** Whether the plan's hotkey has no funds at genesis. */
export function needsFunds(plan: NodePlan): boolean {
  return FIRST_HOTKEY + plan.index > LAST_FUNDED;
}

/** `[0,2,3]` -> `0,2-3`: as `--shards` takes it. */
export function shardsText(shards: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const shard of shards) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === shard - 1) last[1] = shard;
    else runs.push([shard, shard]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

/** Below the range from which systems take ports for outgoing connections: none of those can be in the way a second later. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
const MAX_PROBES = 1_000;

/** TCP ports of loopback that are free now, all different; `random` answers numbers in [0, 1). */
export async function findFreePorts(count: number, random: () => number): Promise<number[]> {
  const found = new Set<number>();
  for (let probes = 0; found.size < count && probes < MAX_PROBES; probes += 1) {
    const port = FIRST_PORT + Math.floor(random() * (LAST_PORT - FIRST_PORT));
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  if (found.size < count) throw new RangeError(`no ${count} free ports between ${FIRST_PORT} and ${LAST_PORT}`);
  return [...found];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
