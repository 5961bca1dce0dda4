// What befalls honest nodes: heads that stand still, a network in two halves, restarts, members that come and go.

import { phaseAt } from '../../src/consensus/phase.ts';
import type { BlockNumber } from '../../src/types/ids.ts';
import type { Swarm, SwarmNode, SwarmOptions } from '../unit/validator/swarm.ts';
import { createChance } from './network.ts';

export interface Hindrance {
  /** Blocks by which a node hears later of a block. */
  readonly stuck?: (node: number, block: number) => number;
  /** What happens before a block is made. */
  readonly before?: (swarm: Swarm, block: number) => Promise<void>;
  readonly chain?: SwarmOptions['chain'];
  readonly spare?: number;
  /** Per epoch, who could not do its duties. */
  readonly hindered: ReadonlyMap<number, ReadonlySet<number>>;
}

export type Condition = (scene: {
  readonly seed: number;
  readonly nodes: number;
  readonly epochs: number;
}) => Hindrance;

const EPOCH_LENGTH = 20;
/** Of the swarm's subnet. */
const SLOT = 3;
const CLOCK = { slot: SLOT, epochLength: EPOCH_LENGTH };
/** Blocks that a head stands still, and that a network is in halves. */
const MAX_STUCK = 14;
const MAX_PARTED = 8;
/** By then a stuck node has its head again, so that it can vote. */
const FREE_AGAIN = 17;
const MANY_EPOCHS = 1000;
const CHURN_EPOCHS = 3;
const CHANGE_AT = 5;

function note(hindered: Map<number, Set<number>>, epoch: number, node: number): void {
  hindered.set(epoch, (hindered.get(epoch) ?? new Set()).add(node));
}

export const CONDITIONS: Readonly<Record<string, Condition>> = {
  /** In each epoch less than a third of the nodes hear of no block for a while. */
  stuck({ seed, nodes }) {
    const chance = createChance(seed ^ 0x57);
    const hindered = new Map<number, Set<number>>();
    const spans = Array.from({ length: MANY_EPOCHS }, (_, epoch) => {
      const from = Math.floor(chance() * FREE_AGAIN);
      const to = Math.min(FREE_AGAIN, from + 1 + Math.floor(chance() * MAX_STUCK));
      const shift = Math.floor(chance() * nodes);
      const who = Array.from({ length: Math.floor((nodes - 1) / 3) }, (_, i) => ((shift + i) % nodes) + 1);
      for (const node of who) note(hindered, epoch, node);
      return { from, to, who: new Set(who) };
    });
    return {
      hindered,
      stuck(node, block) {
        const now = phaseAt(block as BlockNumber, CLOCK);
        const span = now === undefined ? undefined : spans[now.epoch];
        if (now === undefined || span === undefined || !span.who.has(node)) return 0;
        return now.offset >= span.from && now.offset < span.to ? span.to - now.offset : 0;
      },
    };
  },
  /** In each epoch the network is in two parts for a while; the chain is reached by all. */
  partition({ seed }) {
    const chance = createChance(seed ^ 0x9a);
    let parting = { from: -1, to: -1 };
    return {
      hindered: new Map(),
      async before(swarm, block) {
        if (offsetOf(block) === 0) {
          const from = block + Math.floor(chance() * (EPOCH_LENGTH - MAX_PARTED));
          parting = { from, to: from + 1 + Math.floor(chance() * MAX_PARTED) };
        }
        if (block === parting.to) swarm.network.heal();
        if (block !== parting.from) return;
        const left = new Set(swarm.nodes.filter(() => chance() < 0.5));
        const part = (isLeft: boolean) => swarm.nodes.filter((node) => left.has(node) === isLeft);
        swarm.network.partition([part(true), part(false)].map((some) => some.map(({ identity }) => identity.peer)));
      },
    };
  },
  /** In each epoch a node is killed, and started again a block later. */
  restart({ seed }) {
    const chance = createChance(seed ^ 0x2e);
    const hindered = new Map<number, Set<number>>();
    let victim: SwarmNode | undefined;
    let at = -1;
    return {
      hindered,
      async before(swarm, block) {
        const now = phaseAt(block as BlockNumber, CLOCK);
        if (now?.offset === 0) at = block + 1 + Math.floor(chance() * (EPOCH_LENGTH - 3));
        if (victim !== undefined && !victim.running) victim.start();
        if (block !== at || now === undefined) return;
        victim = swarm.nodes[Math.floor(chance() * swarm.nodes.length)];
        if (victim !== undefined) note(hindered, now.epoch, victim.id);
        // What it waits for comes with ticks, so nobody waits for its end.
        void victim?.kill();
      },
    };
  },
  /** A hoster joins and another leaves every third epoch. */
  churn({ seed, nodes, epochs }) {
    const chance = createChance(seed ^ 0x71);
    const hindered = new Map<number, Set<number>>();
    const joined: { readonly node: SwarmNode; readonly epoch: number }[] = [];
    const gone = new Set<SwarmNode>();
    return {
      hindered,
      chain: { queueEpochs: 1, idleEpochs: 1, includedEpochs: 1 },
      spare: Math.ceil(epochs / CHURN_EPOCHS) + 1,
      async before(swarm, block) {
        const now = phaseAt(block as BlockNumber, CLOCK);
        if (now === undefined || now.epoch < swarm.firstEpoch) return;
        for (const node of gone) note(hindered, now.epoch, node.id);
        if (now.offset === CHANGE_AT && (now.epoch - swarm.firstEpoch) % CHURN_EPOCHS === 0) {
          void swarm.join().then((node) => joined.push({ node, epoch: now.epoch }));
          const elected = await swarm.chain.chain.electedValidator(swarm.subnet, now.epoch);
          const some = swarm.nodes.filter(({ id }) => id <= nodes && id !== elected).filter((node) => !gone.has(node));
          const leaver = some[Math.floor(chance() * some.length)];
          if (leaver === undefined) return;
          gone.add(leaver);
          void swarm.leave(leaver);
        }
        for (const { node, epoch } of joined) {
          if (now.offset === CHANGE_AT && now.epoch === epoch + 1) void swarm.activate(node);
        }
      },
    };
  },
};

function offsetOf(block: number): number | undefined {
  return phaseAt(block as BlockNumber, CLOCK)?.offset;
}
