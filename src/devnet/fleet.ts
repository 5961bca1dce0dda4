// The nodes of a development network while they run: starts each as a process, passes on what they say, knows who is alive, stops them all.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Member } from './found.ts';
import type { NodePlan } from './plan.ts';
import { type NodeCommand, type NodeEvent, type NodeProcess, startNode } from './processes.ts';

export interface FleetListener {
  onActive(member: Member, process: NodeProcess): void;
  onHead(id: number, block: number): void;
  /** Any other event of a node, as it printed it. */
  onEvent(id: number, event: NodeEvent): void;
  onStopped(id: number, code: number | null): void;
}

export interface Fleet {
  /** Resolves when every node is ready; rejects with the last words of the first that is not. */
  start(members: readonly Member[], command: NodeCommand): Promise<void>;
  /** Ids of the nodes that are ready and running. */
  live(): readonly number[];
  stop(): Promise<void>;
}

export function createFleet(listener: FleetListener): Fleet {
  const live = new Set<number>();
  const processes: NodeProcess[] = [];

  async function startMember(member: Member, command: NodeCommand): Promise<void> {
    const { id, plan } = member;
    const ready = Promise.withResolvers<void>();
    const process = await startNode(plan, command, {
      onEvent: (event) => {
        if (event.event === 'ready') ready.resolve();
        else if (event.event === 'head') listener.onHead(id, Number(event.block));
        else listener.onEvent(id, event);
      },
      onExit: (code) => {
        live.delete(id);
        ready.reject(new Error(`node ${id} ended with exit code ${code} before it was ready; ${lastWords(plan)}`));
        listener.onStopped(id, code);
      },
    });
    processes.push(process);
    await ready.promise;
    live.add(id);
    listener.onActive(member, process);
  }

  return {
    live: () => [...live],
    start: async (members, command) => {
      await Promise.all(members.map((member) => startMember(member, command)));
    },
    stop: async () => {
      await Promise.all(processes.map((process) => process.stop()));
    },
  };
}

/** The end of what a node said on stderr. */
function lastWords({ dataDir }: NodePlan): string {
  const file = join(dataDir, 'node.log');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return `see ${file}:\n${lines.slice(-3).join('\n')}`;
}
