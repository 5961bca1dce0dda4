// The records this node holds, write-once per (epoch, kind, node), with the proof when somebody signed two. One admission function for
// gossip, DHT and pull. Trusts nothing: a record counts only under the signature of the peer that the roster of its epoch names.
// Memory is bounded: epochs e-2..e+1, the seats of a roster, two records each (protocol.md 4, 10, 14).

import { type ClockParams, EARLY_BLOCKS, phaseAt, windowOf } from '../consensus/phase.ts';
import { closingCount, readWitness } from '../consensus/witness.ts';
import type { Verdict } from '../p2p/types.ts';
import type { BlockNumber, Epoch, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import { EPOCH_KINDS, type EpochKind, type RecordBody, SHORT_ID_BYTES, type SignedRecord } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { decodeRecord, type RecordFault, signedMessage } from '../wire/record.ts';

/** How a record came; 'named': asked for by its id, because a proposal rests on it; 'disk': held before a restart. */
export type Via = 'gossip' | 'dht' | 'pull' | 'named' | 'self' | 'disk';

/** Ways by which records of others come. */
export const CHANNELS = ['gossip', 'dht', 'pull'] as const satisfies readonly Via[];
export type Channel = (typeof CHANNELS)[number];

export type RefusalCode = RecordFault | 'RECORD_UNKNOWN_NODE' | 'RECORD_BAD_SIGNATURE' | 'RECORD_OUT_OF_WINDOW';

/** What became of a record. `record` is there when it is well formed, whether it was kept or not. */
export interface Admission {
  readonly verdict: Verdict;
  readonly code?: RefusalCode;
  readonly record?: SignedRecord;
}

/** Checks a signature under a peer's key, cofactorless (p2p/identity.ts). */
export type Verify = (peer: PeerId, message: Uint8Array, signature: Uint8Array) => boolean;

export interface RecordsOptions {
  /** 32 bytes. */
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  /** This node: its own witness closes no list. */
  readonly node: NodeId;
  readonly clock: ClockParams;
}

export interface RecordsDeps {
  /** The roster of an epoch once it is known here. */
  readonly rosterOf: (epoch: Epoch) => Roster | undefined;
  readonly verify: Verify;
  /** Hears of each record that is kept. */
  readonly onKept?: (record: SignedRecord) => void;
  /** Hears of each well-formed record of this node that came from outside and is not the one that it holds. */
  readonly onOwn?: (record: SignedRecord) => void;
  /** What outlived the last run. */
  readonly stored?: (kind: EpochKind, epoch: Epoch) => readonly Uint8Array[];
}

/** How many records of others are held of an epoch, and how many of them each channel brought, first or again. */
export type Completeness = { readonly held: number } & { readonly [C in Channel]: number };

export interface Records {
  /** A new best head: closes lists, forgets old epochs, tries records again that waited for their roster. */
  observe(block: BlockNumber): void;
  admit(bytes: Uint8Array, via: Via): Admission;
  /** The record kept first. */
  first(kind: EpochKind, epoch: Epoch, node: NodeId): SignedRecord | undefined;
  /** Everything held of a kind, second records of equivocators included. */
  held(kind: EpochKind, epoch: Epoch): readonly SignedRecord[];
  /** By its id, or by the first SHORT_ID_BYTES of it. */
  byId(id: Uint8Array): SignedRecord | undefined;
  /** What was held when the list closed: the first record of each node, also of one that signed two. */
  inTime(kind: EpochKind, epoch: Epoch): ReadonlyMap<NodeId, SignedRecord>;
  /** The own view: what was in time, or everything when this node saw no head inside the window. */
  listed(kind: EpochKind, epoch: Epoch): ReadonlyMap<NodeId, SignedRecord>;
  /** Whether this node saw a head inside the window of a kind. */
  watched(kind: EpochKind, epoch: Epoch): boolean;
  /** Nodes that signed two records of one kind of an epoch, with the two. */
  equivocators(epoch: Epoch): ReadonlyMap<NodeId, readonly [SignedRecord, SignedRecord]>;
  completeness(epoch: Epoch): Completeness;
  /** Records of others since the start, by the channel that brought them first. */
  firstBy(): Readonly<Record<Channel, number>>;
  /** Refusals by code since the start. */
  refusals(): Readonly<Record<string, number>>;
}

/** Epochs behind the best head that are kept: scores of e-1 are checked in e+1. */
const KEPT_BACK = 2;
/** A record may be one epoch ahead of a head that lags. */
const KEPT_AHEAD = 1;
/** Records that wait for their roster to become final: two kinds of 256 seats, twice over. */
const MAX_WAITING = 1024;
/** Third faces kept of an epoch: an honest proposer names one a seat at most, and who invents more fills no memory. */
const MAX_FACES = 256;

interface Entry {
  readonly first: SignedRecord;
  second?: SignedRecord;
  readonly timely: boolean;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly arrived: BlockNumber;
}

/** One epoch's book. */
interface Book {
  readonly kinds: { readonly [K in EpochKind]: Map<NodeId, Entry> };
  /** By short id as hex. */
  readonly ids: Map<string, SignedRecord>;
  readonly equivocators: Map<NodeId, readonly [SignedRecord, SignedRecord]>;
  /** Kinds whose window this node saw. */
  readonly watched: Set<EpochKind>;
  /** Others have closed their list of `hc`, so this one is closed too, whatever the own head says (protocol.md 2). */
  closed: boolean;
  /** Records beyond the two of a slot. */
  faces: number;
  /** By short id, the channels that brought a record of another node. */
  readonly ways: Map<string, Set<Channel>>;
}

export function createRecords(options: RecordsOptions, deps: RecordsDeps): Records {
  const { genesis, subnet, node: self, clock } = options;
  const books = new Map<Epoch, Book>();
  const refused: Record<string, number> = {};
  const first: Record<Channel, number> = { gossip: 0, dht: 0, pull: 0 };
  let waiting: Waiting[] = [];
  let best: BlockNumber | undefined;

  function bookOf(epoch: Epoch): Book {
    const found = books.get(epoch);
    if (found !== undefined) return found;
    const book = createBook();
    books.set(epoch, book);
    return book;
  }

  function refuse(code: RefusalCode, verdict: Verdict, record?: SignedRecord): Admission {
    refused[code] = (refused[code] ?? 0) + 1;
    return record === undefined ? { verdict, code } : { verdict, code, record };
  }

  function admitAt(bytes: Uint8Array, via: Via, arrived: BlockNumber): Admission {
    const decoded = decodeRecord(bytes);
    if (!decoded.ok) return refuse(decoded.code, 'reject');
    const { record } = decoded;
    const { body } = record;
    if (body.kind === 'an' || body.subnet !== subnet || !equalBytes(body.genesis, genesis)) {
      return refuse('RECORD_MALFORMED', 'reject');
    }
    const window = windowOf(body.kind, body.epoch, clock);
    const tooEarly = arrived < window.opens - EARLY_BLOCKS;
    // Early witnesses are news to a node whose head does not move: they close its list.
    if (!isKeptEpoch(body.epoch, arrived) || (tooEarly && body.kind !== 'wa')) {
      return refuse('RECORD_OUT_OF_WINDOW', 'ignore');
    }
    const entry = books.get(body.epoch)?.kinds[body.kind].get(body.node);
    if (entry !== undefined && isHeld(entry, bytes)) {
      noteWay(bookOf(body.epoch), record, via);
      return { verdict: 'accept', record };
    }
    const roster = deps.rosterOf(body.epoch);
    if (roster === undefined) return wait(bytes, arrived);
    const seat = roster.nodes.find(({ id }) => id === body.node);
    if (seat === undefined) return refuse('RECORD_UNKNOWN_NODE', 'ignore');
    if (!deps.verify(seat.peer, signedMessage(record.bodyBytes), record.signature)) {
      return refuse('RECORD_BAD_SIGNATURE', 'reject');
    }
    if (!fitsRoster(body, roster)) return refuse('RECORD_MALFORMED', 'reject');
    if (body.node === self && via !== 'self') deps.onOwn?.(record);
    const book = bookOf(body.epoch);
    const inTime = arrived < window.closes && !(body.kind === 'hc' && book.closed);
    const isNews = keep(book, body.kind, record, inTime);
    if (via === 'named') keepNamed(book, record);
    noteWay(book, record, via);
    if (body.kind === 'wa') closeWith(book, roster);
    const outside = tooEarly || !inTime;
    if (outside && (via === 'gossip' || via === 'dht')) return refuse('RECORD_OUT_OF_WINDOW', 'ignore', record);
    return { verdict: isNews ? 'accept' : 'ignore', record };
  }

  /** Which channel brought a record that is kept; what was asked for by name was pulled. */
  function noteWay({ ids, ways }: Book, { body, id }: SignedRecord, via: Via): void {
    const name = shortName(id);
    const channel = via === 'named' ? 'pull' : CHANNELS.find((one) => one === via);
    if (channel === undefined || body.node === self || !ids.has(name)) return;
    const known = ways.get(name);
    if (known === undefined) first[channel] += 1;
    ways.set(name, (known ?? new Set<Channel>()).add(channel));
  }

  /** A node whose head lags must not list late copies: enough others have closed theirs. */
  function closeWith(book: Book, { validators }: Roster): void {
    const others = validators.filter((node) => node !== self && book.kinds.wa.has(node));
    if (others.length >= closingCount(validators.length)) book.closed = true;
  }

  function keep(book: Book, kind: EpochKind, record: SignedRecord, timely: boolean): boolean {
    const entries = book.kinds[kind];
    const entry = entries.get(record.body.node);
    if (entry === undefined) {
      entries.set(record.body.node, { first: record, timely });
      book.ids.set(shortName(record.id), record);
      deps.onKept?.(record);
      return true;
    }
    if (equalBytes(entry.first.id, record.id) || entry.second !== undefined) return false;
    entry.second = record;
    book.ids.set(shortName(record.id), record);
    deps.onKept?.(record);
    book.equivocators.set(record.body.node, [entry.first, record]);
    return true;
  }

  /** A third face of a node is kept when a proposal may rest on it. */
  function keepNamed(book: Book, record: SignedRecord): void {
    const name = shortName(record.id);
    if (book.ids.has(name) || book.faces >= MAX_FACES) return;
    book.faces += 1;
    book.ids.set(name, record);
    deps.onKept?.(record);
  }

  /** Its roster is not final here yet: kept aside with the block of its arrival, which decides whether it was in time. */
  function wait(bytes: Uint8Array, arrived: BlockNumber): Admission {
    if (waiting.length < MAX_WAITING && !waiting.some((one) => equalBytes(one.bytes, bytes))) {
      waiting.push({ bytes: bytes.slice(), arrived });
    }
    return refuse('RECORD_UNKNOWN_NODE', 'ignore');
  }

  function retryWaiting(): void {
    const again = waiting;
    waiting = [];
    for (const { bytes, arrived } of again) admitAt(bytes, 'pull', arrived);
  }

  function isKeptEpoch(epoch: Epoch, block: BlockNumber): boolean {
    const now = phaseAt(block, clock)?.epoch ?? 0;
    return epoch >= now - KEPT_BACK && epoch <= now + KEPT_AHEAD;
  }

  function watch(block: BlockNumber): void {
    const now = phaseAt(block, clock)?.epoch;
    if (now === undefined) return;
    for (const epoch of [now, now - 1] as Epoch[]) {
      if (epoch < 0) continue;
      for (const kind of EPOCH_KINDS) {
        const { opens, closes } = windowOf(kind, epoch, clock);
        if (block >= opens && block < closes) bookOf(epoch).watched.add(kind);
      }
    }
  }

  function firsts(kind: EpochKind, epoch: Epoch, counts: (entry: Entry, book: Book) => boolean) {
    const book = books.get(epoch);
    if (book === undefined) return new Map<NodeId, SignedRecord>();
    const counted = [...book.kinds[kind]].filter(([, entry]) => counts(entry, book));
    return new Map(counted.map(([node, { first }]) => [node, first]));
  }

  /** At the first head: what was held before a restart is held again. */
  function restore(block: BlockNumber): void {
    const now = phaseAt(block, clock)?.epoch ?? 0;
    for (let epoch = Math.max(0, now - KEPT_BACK) as Epoch; epoch <= now + KEPT_AHEAD; epoch++) {
      for (const kind of EPOCH_KINDS) {
        for (const bytes of deps.stored?.(kind, epoch) ?? []) admitAt(bytes, 'disk', block);
      }
    }
  }

  return {
    observe(block) {
      if (best === undefined) restore(block);
      best = block;
      for (const epoch of [...books.keys()]) if (!isKeptEpoch(epoch, block)) books.delete(epoch);
      waiting = waiting.filter(({ arrived }) => block - arrived < clock.epochLength);
      watch(block);
      retryWaiting();
    },
    admit(bytes, via) {
      return best === undefined ? { verdict: 'ignore', code: 'RECORD_OUT_OF_WINDOW' } : admitAt(bytes, via, best);
    },
    first: (kind, epoch, node) => books.get(epoch)?.kinds[kind].get(node)?.first,
    held: (kind, epoch) =>
      [...(books.get(epoch)?.kinds[kind].values() ?? [])].flatMap(({ first, second }) =>
        second === undefined ? [first] : [first, second],
      ),
    byId(id) {
      const name = shortName(id);
      const found = [...books.values()].map((book) => book.ids.get(name)).find((record) => record !== undefined);
      return found !== undefined && equalBytes(found.id.subarray(0, id.length), id) ? found : undefined;
    },
    inTime: (kind, epoch) => firsts(kind, epoch, ({ timely }) => timely),
    listed: (kind, epoch) => firsts(kind, epoch, ({ timely }, { watched }) => timely || !watched.has(kind)),
    watched: (kind, epoch) => books.get(epoch)?.watched.has(kind) ?? false,
    equivocators: (epoch) => books.get(epoch)?.equivocators ?? new Map(),
    completeness(epoch) {
      const book = books.get(epoch);
      const ways = [...(book?.ways.values() ?? [])];
      const by = (channel: Channel): number => ways.filter((one) => one.has(channel)).length;
      const others = [...(book?.ids.values() ?? [])].filter(({ body }) => body.node !== self);
      return { held: others.length, gossip: by('gossip'), dht: by('dht'), pull: by('pull') };
    },
    firstBy: () => ({ ...first }),
    refusals: () => ({ ...refused }),
  };
}

function createBook(): Book {
  return {
    kinds: Object.fromEntries(EPOCH_KINDS.map((kind) => [kind, new Map()])) as Book['kinds'],
    ids: new Map(),
    equivocators: new Map(),
    watched: new Set(),
    closed: false,
    faces: 0,
    ways: new Map(),
  };
}

/** Whether the lists of a witness are over the roster of its epoch. */
function fitsRoster(body: RecordBody, { nodes }: Roster): boolean {
  return (body.kind !== 'wa' && body.kind !== 'wb') || readWitness(body, nodes.length) !== undefined;
}

function shortName(id: Uint8Array): string {
  return toHex(id.subarray(0, SHORT_ID_BYTES));
}

function isHeld(entry: Entry, bytes: Uint8Array): boolean {
  return equalBytes(entry.first.bytes, bytes) || (entry.second !== undefined && equalBytes(entry.second.bytes, bytes));
}
