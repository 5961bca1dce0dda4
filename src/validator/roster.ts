// What an epoch rests on: its roster and its seed, read once at h(e) when that block is final, and journaled, because RPC nodes prune state
// that is still needed (protocol.md 1, 2). Its policy is what the owner had written by h(e-1), so that a change holds from the second next
// epoch on and nobody is surprised by it; it is the owner's text and parsed here.

import type { Chain, RosterState } from '../chain/types.ts';
import { epochSeed } from '../consensus/challenge.ts';
import { type ClockParams, firstBlock } from '../consensus/phase.ts';
import type { Journal } from '../store/types.ts';
import type { Address, Epoch, Hash, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import { classRank, type NodeClass, type Policy, type Roster, type RosterNode } from '../types/subnet.ts';
import { equalBytes, fromHex, toHex } from '../util/bytes.ts';
import { decodeCbor, encodeCbor } from '../util/cbor.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { bytes, exactly, type Field, list, parsing, readMap, text, U32, uint } from '../wire/fields.ts';
import { decodePolicy } from '../wire/policy.ts';
import { firstHash, type RosterProofs } from './roster-proof.ts';

/** Facts of one epoch. Without a subnet at h(e) the roster is empty; without one at h(e-1) the policy is the first that there is. */
export interface EpochFacts {
  readonly roster: Roster;
  readonly seed: Uint8Array;
  readonly policy: Policy | undefined;
}

export interface Rosters {
  /** From memory or the journal. */
  known(epoch: Epoch): EpochFacts | undefined;
  /**
   * Reads h(e-1) and h(e) when that is final; undefined when it is not final yet. Where the endpoint has forgotten that state, what peers
   * prove of it is taken. Errors of the chain pass through.
   */
  read(epoch: Epoch, signal: AbortSignal): Promise<EpochFacts | undefined>;
  /** Takes for read what peers tell of h(e), if it can be read and its seed is that of the chain's block; for who decides nothing by it. */
  adopt(epoch: Epoch, told: Uint8Array, signal: AbortSignal): Promise<boolean>;
  /** Takes for read what is proven of h(e); false where something else was read, or h(e) is not final. */
  adoptProven(epoch: Epoch, state: RosterState | undefined, signal: AbortSignal): Promise<boolean>;
  /** What was read at h(e), as it is journaled: for peers whose endpoint has forgotten that state. */
  saved(epoch: Epoch): Uint8Array | undefined;
  /** Whether a peer has a seat in a roster that is in memory. */
  hasSeat(peer: PeerId): boolean;
}

export interface RostersOptions {
  readonly genesis: Hash;
  readonly subnet: SubnetId;
  readonly clock: ClockParams;
}

export interface RostersDeps {
  readonly chain: Pick<Chain, 'head' | 'blockHash' | 'subnet' | 'nodes' | 'electable' | 'electedValidator'>;
  readonly journal: Pick<Journal, 'fact' | 'saveFact'>;
  /** Peers that kept proofs, for who decides by rosters of states that the endpoint has forgotten. */
  readonly proofs?: {
    readonly of: Pick<RosterProofs, 'fromPeers'>;
    readonly keep: (epoch: Epoch, proof: Uint8Array) => void;
  };
  readonly log: Log;
}

/** Epochs in memory: e-2..e+1 and one to spare; older ones are in the journal. */
const CACHED_EPOCHS = 5;
const MAX_SEATS = 256;
/** An Ed25519 peer id has 52. */
const MAX_PEER_CHARS = 128;
const MAX_MISC_BYTES = 4096;
const CLASSES: readonly NodeClass[] = ['Registered', 'Idle', 'Included', 'Validator'];

export function createRosters(options: RostersOptions, deps: RostersDeps): Rosters {
  const { genesis, subnet, clock } = options;
  const cache = new Map<Epoch, EpochFacts>();
  const saved = (epoch: Epoch): Uint8Array | undefined => deps.journal.fact(factName(subnet, epoch));

  function remember(epoch: Epoch, facts: EpochFacts): EpochFacts {
    cache.set(epoch, facts);
    while (cache.size > CACHED_EPOCHS) cache.delete(Math.min(...cache.keys()) as Epoch);
    return facts;
  }

  function known(epoch: Epoch): EpochFacts | undefined {
    if (epoch < 0) return beforeTime(epoch);
    const cached = cache.get(epoch);
    if (cached !== undefined) return cached;
    const own = saved(epoch);
    const before = epoch === 0 ? own : saved((epoch - 1) as Epoch);
    return own === undefined || before === undefined ? undefined : remember(epoch, parse(epoch, own, before));
  }

  async function readAt(epoch: Epoch, at: Hash, signal: AbortSignal): Promise<RosterState | undefined> {
    const found = await deps.chain.subnet(subnet, at, signal);
    if (found === undefined) return undefined;
    const [nodes, electable, elected] = await Promise.all([
      deps.chain.nodes(subnet, at, signal),
      deps.chain.electable(subnet, at, signal),
      deps.chain.electedValidator(subnet, epoch, at, signal),
    ]);
    return { misc: found.misc, nodes, electable, elected };
  }

  function seedAt(epoch: Epoch, at: Hash): Uint8Array {
    return epochSeed(fromHex(genesis), subnet, epoch, fromHex(at));
  }

  async function proven(epoch: Epoch, signal: AbortSignal): Promise<RosterState | undefined | 'unknown'> {
    const found = await deps.proofs?.of.fromPeers(epoch, signal);
    if (found?.ok !== true) return 'unknown';
    deps.proofs?.keep(epoch, found.proof);
    deps.log.info('roster proven by peers', { epoch });
    return found.state;
  }

  function parse(epoch: Epoch, own: Uint8Array, before: Uint8Array): EpochFacts {
    const { misc, ...facts } = decodeFacts(epoch, own);
    const written = decodeFacts((epoch - 1) as Epoch, before).misc;
    const inForce = written.length > 0 ? written : misc;
    if (inForce.length === 0) return { ...facts, policy: undefined };
    const decoded = decodePolicy(inForce);
    if (!decoded.ok) deps.log.error('policy unreadable', { epoch, code: decoded.code, why: decoded.why });
    return { ...facts, policy: decoded.ok ? decoded.policy : undefined };
  }

  /** Whether what h(e) says is journaled now; false when that block is not final. */
  async function save(epoch: Epoch, signal: AbortSignal): Promise<boolean> {
    if (epoch < 0 || saved(epoch) !== undefined) return true;
    const at = await firstHash(deps.chain, clock, epoch, signal);
    if (at === undefined) return false;
    const state = await readAt(epoch, at, signal).catch(async (error: unknown) => {
      const other = errorCode(error) === 'CHAIN_STATE_DISCARDED' ? await proven(epoch, signal) : 'unknown';
      if (other === 'unknown') throw error;
      return other;
    });
    deps.journal.saveFact(factName(subnet, epoch), encodeFacts(epoch, seedAt(epoch, at), state));
    return true;
  }

  return {
    known,
    async read(epoch, signal) {
      const there = known(epoch);
      if (there !== undefined) return there;
      const isRead = (await save((epoch - 1) as Epoch, signal)) && (await save(epoch, signal));
      return isRead ? known(epoch) : undefined;
    },
    async adopt(epoch, told, signal) {
      const at = await deps.chain.blockHash(firstBlock(epoch, clock), signal);
      const read = parsing(() => decodeFacts(epoch, told));
      if (at === undefined || !read.ok) return false;
      if (!equalBytes(read.value.seed, seedAt(epoch, at))) return false;
      deps.journal.saveFact(factName(subnet, epoch), told);
      return true;
    },
    async adoptProven(epoch, state, signal) {
      const at = await firstHash(deps.chain, clock, epoch, signal);
      if (at === undefined) return false;
      const facts = encodeFacts(epoch, seedAt(epoch, at), state);
      const own = saved(epoch);
      if (own === undefined) deps.journal.saveFact(factName(subnet, epoch), facts);
      return own === undefined || equalBytes(own, facts);
    },
    saved,
    hasSeat: (peer) => [...cache.values()].some(({ roster }) => roster.nodes.some((node) => node.peer === peer)),
  };
}

function factName(subnet: SubnetId, epoch: Epoch): string {
  return `epoch/${subnet}/${epoch}`;
}

/** Before the subnet's first epoch nobody had a seat. */
function beforeTime(epoch: Epoch): EpochFacts {
  return { roster: { epoch, nodes: [], validators: [], live: false }, seed: new Uint8Array(32), policy: undefined };
}

function hasSeatIn(node: RosterState['nodes'][number], epoch: Epoch): boolean {
  return classRank(node.nodeClass) >= classRank('Included') && node.startEpoch <= epoch;
}

const NO_SUBNET: RosterState = { misc: new Uint8Array(), nodes: [], electable: [], elected: undefined };

/** The same bytes for the same state, however it was read. */
function encodeFacts(epoch: Epoch, seed: Uint8Array, state: RosterState | undefined): Uint8Array {
  const { misc, nodes, electable, elected } = state ?? NO_SUBNET;
  const seats = nodes.filter((node) => hasSeatIn(node, epoch)).sort((a, b) => a.id - b.id);
  return encodeCbor({
    v: 1,
    p: misc,
    z: seed,
    l: elected === undefined ? 0 : 1,
    w: [...electable].sort((a, b) => a - b),
    n: seats.map((node) => ({
      i: node.id,
      p: node.peerInfo.peer,
      h: fromHex(node.hotkey),
      c: CLASSES.indexOf(node.nodeClass),
      s: node.startEpoch,
    })),
  });
}

interface Seat {
  readonly i: number;
  readonly p: string;
  readonly h: Uint8Array;
  readonly c: number;
  readonly s: number;
}

function decodeFacts(epoch: Epoch, saved: Uint8Array): { misc: Uint8Array; seed: Uint8Array; roster: Roster } {
  const seat: Field<Seat> = (value) =>
    readMap<Seat>(value, { i: uint(U32), p: text(MAX_PEER_CHARS), h: bytes(20), c: uint(3), s: uint(U32) });
  const map = readMap(decodeCbor(saved), {
    v: exactly(1),
    p: bytes(0, MAX_MISC_BYTES),
    z: bytes(32),
    l: exactly(0, 1),
    w: list(uint(U32), MAX_SEATS),
    n: list(seat, MAX_SEATS),
  });
  const roster = { epoch, nodes: map.n.map(seatToNode), validators: map.w as readonly NodeId[], live: map.l === 1 };
  return { misc: map.p, seed: map.z, roster };
}

function seatToNode({ i, p, h, c, s }: Seat): RosterNode {
  return {
    id: i as NodeId,
    peer: p as PeerId,
    hotkey: `0x${toHex(h)}` as Address,
    nodeClass: CLASSES[c] as NodeClass,
    startEpoch: s as Epoch,
  };
}
