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
export function shardsOfHoster(
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

/** TCP ports of loopback that were free a moment ago, all different. */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
