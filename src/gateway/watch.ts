// Follows a network for people who look at it: heads, epochs, records, reachability. Reads what anybody may read, and keeps the last epochs only.

import type { Chain, EpochResult, Submission, Subnet, SubnetNode } from '../chain/types.ts';
import type { Directory } from '../client/directory.ts';
import { phaseAt, windowsOf } from '../consensus/phase.ts';
import type { Overlay } from '../p2p/types.ts';
import { coverage, missingShards } from '../routing/coverage.ts';
import type { BlockNumber, Epoch, NodeId, PeerId } from '../types/ids.ts';
import { fromHex } from '../util/bytes.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { recordTopic } from '../validator/topic.ts';
import type { Verify } from '../wire/envelope.ts';
import { capacityOf } from './capacity.ts';
import type { Vitals } from './health.ts';
import { createProbes, type Target } from './probes.ts';
import { createSightings, SHOWN_EPOCHS, scoreReason } from './sightings.ts';
import type { EpochState, Health, Moment, NetworkState, NodeState, ScoreState, StakePoint } from './state.ts';

/** The roster is read anew so often. */
const NODES_LIFE_BLOCKS = 5;
/** Stakes remembered. */
const MAX_HISTORY = 240;

export interface WatchOptions {
  readonly subnet: Subnet;
  readonly genesis: string;
  readonly epochLength: number;
  readonly shardCount: number;
  readonly model: NetworkState['model'];
}

export interface WatchDeps {
  readonly chain: Pick<Chain, 'heads' | 'nodes' | 'electedValidator' | 'submission' | 'result'>;
  readonly overlay: Pick<Overlay, 'self' | 'peers' | 'subscribe' | 'request' | 'connect'>;
  readonly directory: Pick<Directory, 'offers'>;
  readonly verify: Verify;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface Watch {
  /** Until the signal aborts. What cannot be read is tried again at the next head. */
  run(signal: AbortSignal): Promise<void>;
  state(): NetworkState;
  vitals(): Vitals;
  /** Generations that the network takes from us at once. */
  capacity(): number;
  /** Calls back after every change; answers what ends it. */
  onChange(listener: () => void): () => void;
}

/** What the chain has of one epoch. */
interface Read {
  readonly proposer: NodeId | undefined;
  readonly submission: Submission | undefined;
  readonly result: EpochResult | undefined;
}

export function createWatch(options: WatchOptions, deps: WatchDeps): Watch {
  const { subnet, epochLength, shardCount } = options;
  const { chain, overlay, directory, log } = deps;
  const clock = { slot: subnet.slot, epochLength };
  const sightings = createSightings({ subnet: subnet.id, genesis: fromHex(options.genesis) }, deps.verify);
  const probes = createProbes(overlay, deps.now);
  const listeners = new Set<() => void>();
  const reads = new Map<number, Read>();
  const history: StakePoint[] = [];
  let nodes: readonly SubnetNode[] = [];
  let nodesAt = Number.NEGATIVE_INFINITY;
  let head: { readonly block: BlockNumber; readonly at: number } | undefined;

  function changed(): void {
    for (const listener of listeners) listener();
  }

  const epochNow = (): number => (head === undefined ? 0 : (phaseAt(head.block, clock)?.epoch ?? 0));

  async function readNodes(block: BlockNumber, signal: AbortSignal): Promise<void> {
    const begins = (block - subnet.slot) % epochLength === 0;
    if (!begins && block < nodesAt + NODES_LIFE_BLOCKS) return;
    nodes = await chain.nodes(subnet.id, undefined, signal);
    nodesAt = block;
    const epoch = epochNow();
    if (history.at(-1)?.epoch === epoch) return;
    history.push({ epoch, block, stakes: nodes.map(({ id, stake }) => ({ node: id, stake: stake.toString() })) });
    if (history.length > MAX_HISTORY) history.shift();
  }

  /** The running epoch, the one before it that it settles, and what was before once. */
  async function readEpochs(signal: AbortSignal): Promise<void> {
    const current = epochNow();
    for (const old of reads.keys()) if (old <= current - SHOWN_EPOCHS) reads.delete(old);
    const shown = Array.from({ length: SHOWN_EPOCHS }, (_, i) => current - i);
    const wanted = shown.filter((epoch) => epoch > 0 && (epoch >= current - 1 || !reads.has(epoch)));
    await Promise.all(wanted.map(async (epoch) => reads.set(epoch, await readEpoch(epoch as Epoch, signal))));
  }

  async function readEpoch(epoch: Epoch, signal: AbortSignal): Promise<Read> {
    const [proposer, submission, result] = await Promise.all([
      chain.electedValidator(subnet.id, epoch, undefined, signal),
      chain.submission(subnet.id, epoch, undefined, signal),
      chain.result(subnet.id, epoch, undefined, signal),
    ]);
    return { proposer, submission, result };
  }

  function targets(): readonly Target[] {
    const offering = new Set(directory.offers().map(({ peer }) => peer));
    return nodes.map(({ peerInfo: { peer, multiaddr } }) => ({ peer, address: multiaddr, hosts: offering.has(peer) }));
  }

  async function onHead(block: BlockNumber, signal: AbortSignal): Promise<void> {
    head = { block, at: deps.now() };
    changed();
    try {
      await readNodes(block, signal);
      await readEpochs(signal);
    } catch (error) {
      if (!signal.aborted) log.info('chain not read', { code: errorCode(error) });
    }
    changed();
    void probes.round(targets(), signal).then(changed);
  }

  /** Of nodes that can be reached, as far as is known: an announce outlives its node by some blocks. */
  function standing(): ReturnType<typeof directory.offers> {
    return directory.offers().filter(({ peer }) => healthOf(peer) !== 'down');
  }

  /** Whether we are the client of a node, or one ourselves: hosters give those more. */
  function isStaked(): boolean {
    return nodes.some(({ stake, peerInfo, clientInfo, bootnodeInfo }) =>
      [peerInfo, clientInfo, bootnodeInfo].some((info) => stake > 0n && info?.peer === overlay.self),
    );
  }

  function describeNode(node: SubnetNode): NodeState {
    const { peer } = node.peerInfo;
    const offer = directory.offers().find((one) => one.peer === peer);
    return {
      id: node.id,
      peer,
      nodeClass: node.nodeClass,
      stake: node.stake.toString(),
      shards: offer?.shards ?? [],
      load: offer?.load ?? null,
      health: healthOf(peer),
      latencyMs: probes.of(peer)?.latencyMs ?? null,
    };
  }

  function healthOf(peer: PeerId): Health {
    const probe = probes.of(peer);
    if (probe?.reached === false) return 'down';
    return probe?.reached === true || overlay.peers().includes(peer) ? 'up' : 'unknown';
  }

  function describeEpoch([epoch, { proposer, submission, result }]: readonly [number, Read]): EpochState {
    return {
      epoch,
      outcome: result?.outcome ?? 'Open',
      proposer: proposer ?? null,
      attestations: submission?.attests.length ?? 0,
      validators: submission?.validators.length ?? 0,
      minted: result?.minted?.toString() ?? null,
      scores: submission === undefined ? [] : describeScores(submission, epoch - 1),
      heard: sightings.of(epoch),
    };
  }

  /** Everybody of the roster, so that who got nothing is seen too. */
  function describeScores(submission: Submission, scored: number): readonly ScoreState[] {
    const total = submission.scores.reduce((sum, { score }) => sum + score, 0n);
    const heard = sightings.of(scored);
    const hosters = new Set([...(heard.hc ?? []), ...directory.offers().map(({ node }) => node)]);
    return submission.nodes.map(({ id }) => {
      const score = submission.scores.find(({ nodeId }) => nodeId === id)?.score ?? 0n;
      const share = total === 0n ? 0 : Number((1000n * score) / total);
      return { node: id, share, reason: scoreReason({ node: id, share, hosts: hosters.has(id) }, heard) };
    });
  }

  function moment(): Moment | null {
    const found = head === undefined ? undefined : phaseAt(head.block, clock);
    if (found === undefined) return null;
    return { epoch: found.epoch, offset: found.offset, phase: found.phase, windows: windowsOf(epochLength) };
  }

  const headAgeMs = (): number => (head === undefined ? 0 : Math.round(deps.now() - head.at));

  return {
    async run(signal) {
      overlay.subscribe(recordTopic(subnet.id), async (record) => {
        const peers = new Map(nodes.map(({ id, peerInfo }) => [id, peerInfo.peer]));
        if (!sightings.admit(record, { epoch: epochNow(), peers })) return 'ignore';
        changed();
        return 'accept';
      });
      try {
        for await (const { number } of chain.heads('best', signal)) await onHead(number, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    state: () => ({
      chain: { genesis: options.genesis, block: head?.block ?? null, headAgeMs: headAgeMs() },
      subnet: { id: subnet.id, name: subnet.name },
      model: options.model,
      moment: moment(),
      nodes: nodes.map(describeNode),
      coverage: coverage(standing(), shardCount),
      epochs: [...reads].sort(([a], [b]) => b - a).map(describeEpoch),
      history,
    }),
    vitals: () => ({
      block: head?.block,
      headAgeMs: headAgeMs(),
      missing: missingShards(standing(), shardCount),
      peers: overlay.peers().length,
    }),
    capacity: () => capacityOf(standing(), shardCount, isStaked() ? 'staked' : 'stranger'),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
