// `/tessera/evidence/1` (protocol.md 10): makes the sets of records whole between roster peers, and lets anybody verify an epoch later. Five
// questions, each one frame in and one out: what do I lack of a kind; give me these ids; which ids does your evidence name; who was in the
// epoch; what proves that. Answers are records that prove themselves, or are compared with the chain, so the asker trusts nothing; the sizes of 14 bound both sides.

import { MAX_PROOF_BYTES, MAX_PROOF_HEADER_BYTES, MAX_PROOF_NODES, type StateProof } from '../chain/types.ts';
import type { ProtocolOptions } from '../p2p/types.ts';
import type { Epoch, PeerId } from '../types/ids.ts';
import { EPOCH_KINDS, type EpochKind, SHORT_ID_BYTES, type SignedRecord } from '../types/record.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { type Cbor, encodeCbor } from '../util/cbor.ts';
import { byPlace, type EvidenceIds, PLACES, type Place } from '../wire/evidence.ts';
import { bytes, exactly, type Field, list, parsing, readCbor, readMap, U32, uint } from '../wire/fields.ts';
import { MAX_RECORD_BYTES } from '../wire/record.ts';

export const EVIDENCE_PROTOCOL = '/tessera/evidence/1';
/** Records in one answer (protocol.md 14). */
export const MAX_ANSWER_RECORDS = 256;
/** Bytes of records in one answer; one more record and its framing may stand above it. */
const MAX_ANSWER_BYTES = 1 << 20;
/** Longest frame either side takes. */
export const MAX_EVIDENCE_FRAME = MAX_ANSWER_BYTES + MAX_RECORD_BYTES;
/** Two records of each of 256 seats. */
const MAX_HELD = 512;
const ID_BYTES = 32;
/** One for each list that is closing, and one for a proposal. */
const MAX_STREAMS = 8;

export type EvidenceRequest =
  | { readonly ask: 'lack'; readonly kind: EpochKind; readonly epoch: Epoch; readonly held: readonly Uint8Array[] }
  /** Each id whole, or shortened as witnesses do. */
  | { readonly ask: 'ids'; readonly ids: readonly Uint8Array[] }
  /** The ids, in the order of the seats, of the evidence of the epoch scored. */
  | { readonly ask: 'named'; readonly epoch: Epoch }
  /** What was read at the epoch's first block: roster, seed, the owner's policy. */
  | { readonly ask: 'facts'; readonly epoch: Epoch }
  /** The proof of storage of the epoch's first block that tells its roster. */
  | { readonly ask: 'proof'; readonly epoch: Epoch };

/** Where answers come from (library.ts). */
export interface Answers {
  held(kind: EpochKind, epoch: Epoch): readonly SignedRecord[];
  byId(id: Uint8Array): SignedRecord | undefined;
  /** The ids behind the evidence that this node proposed or attested, as `encodeNamed` writes them. */
  named(scored: Epoch): Uint8Array | undefined;
  /** What was read at h(e), as roster.ts journals it. */
  facts(epoch: Epoch): Uint8Array | undefined;
  /** What proves it, as `encodeProof` writes it. */
  proof(epoch: Epoch): Uint8Array | undefined;
}

/** Per place of the root its ids, in the order of the seats. */
export type NamedIds = { readonly [P in Place]: readonly Uint8Array[] };

export function protocolOptions(admit: (peer: PeerId) => boolean): ProtocolOptions {
  return { maxFrameBytes: MAX_EVIDENCE_FRAME, admit, maxStreamsPerPeer: MAX_STREAMS };
}

export function encodeRequest(request: EvidenceRequest): Uint8Array {
  switch (request.ask) {
    case 'lack':
      return encodeCbor({ v: 1, q: 'lack', e: request.epoch, k: request.kind, h: request.held.map(shorten) });
    case 'ids':
      return encodeCbor({ v: 1, q: 'ids', i: request.ids });
    case 'named':
    case 'facts':
    case 'proof':
      return encodeCbor({ v: 1, q: request.ask, e: request.epoch });
  }
}

/** The request, or undefined when the bytes are none. */
export function decodeRequest(body: Uint8Array): EvidenceRequest | undefined {
  return tried(() => readRequest(readCbor(body, MAX_EVIDENCE_FRAME)));
}

/** The answer to a request out of what is there; never longer than a frame. */
export function answer(request: EvidenceRequest, library: Answers): Uint8Array {
  switch (request.ask) {
    case 'lack': {
      const held = new Set(request.held.map((id) => toHex(shorten(id))));
      const lacking = library.held(request.kind, request.epoch).filter(({ id }) => !held.has(toHex(shorten(id))));
      return encodeRecords(lacking.map((record) => record.bytes));
    }
    case 'ids':
      return encodeRecords(
        request.ids.flatMap((id) => {
          const record = library.byId(id);
          return record === undefined ? [] : [record.bytes];
        }),
      );
    case 'named':
      return library.named(request.epoch) ?? NOTHING;
    case 'facts':
      return encodeFacts(library.facts(request.epoch));
    case 'proof':
      return library.proof(request.epoch) ?? NOTHING;
  }
}

/** The records of an answer, not yet looked at; undefined when the bytes are no answer. */
export function decodeRecords(body: Uint8Array): readonly Uint8Array[] | undefined {
  const record = bytes(1, MAX_RECORD_BYTES);
  return tried(
    () => readMap(readCbor(body, MAX_EVIDENCE_FRAME), { v: exactly(1), r: list(record, MAX_ANSWER_RECORDS) }).r,
  );
}

/** The ids of an answer to 'named'; undefined when there are none or the bytes are no answer. */
export function decodeNamed(body: Uint8Array): NamedIds | undefined {
  const ids = list(bytes(ID_BYTES), MAX_HELD / 2);
  const places = list(ids, PLACES.length, PLACES.length);
  return tried(() => {
    const { n } = readMap(readCbor(body, MAX_EVIDENCE_FRAME), { v: exactly(1), n: places });
    return byPlace((place) => n[PLACES.indexOf(place)] ?? []);
  });
}

/** What was read at h(e), not yet compared with anything; undefined when there is nothing or the bytes are no answer. */
export function decodeFacts(body: Uint8Array): Uint8Array | undefined {
  return tried(() => readMap(readCbor(body, MAX_EVIDENCE_FRAME), { v: exactly(1), f: bytes(0, MAX_ANSWER_BYTES) }).f);
}

/** A proof as it is kept and as the answer to 'proof'; undefined where it is longer than a frame may be. */
export function encodeProof({ header, nodes }: StateProof): Uint8Array | undefined {
  const size = nodes.reduce((sum, node) => sum + node.length, 0);
  const fits = header.length <= MAX_PROOF_HEADER_BYTES && nodes.length <= MAX_PROOF_NODES && size <= MAX_PROOF_BYTES;
  return fits ? encodeCbor({ v: 1, h: header, n: nodes }) : undefined;
}

/** The header and the trie nodes, not yet compared with anything; undefined when there are none or the bytes are no answer. */
export function decodeProof(body: Uint8Array): StateProof | undefined {
  const nodes = list(bytes(0, MAX_PROOF_BYTES), MAX_PROOF_NODES);
  return tried(() => {
    const { h, n } = readMap(readCbor(body, MAX_EVIDENCE_FRAME), {
      v: exactly(1),
      h: bytes(0, MAX_PROOF_HEADER_BYTES),
      n: nodes,
    });
    return { header: h, nodes: n };
  });
}

/** Whether a peer that was asked for a proof has none. */
export function isNothing(body: Uint8Array): boolean {
  return equalBytes(body, NOTHING);
}

/** The answer of a node that has nothing. */
const NOTHING = encodeCbor({ v: 1 });

function encodeFacts(facts: Uint8Array | undefined): Uint8Array {
  return facts === undefined || facts.length > MAX_ANSWER_BYTES ? NOTHING : encodeCbor({ v: 1, f: facts });
}

/** The ids of evidence as an answer to 'named'. */
export function encodeNamed(ids: EvidenceIds): Uint8Array {
  const inOrder = (place: Place): Uint8Array[] => [...ids[place]].sort(([a], [b]) => a - b).map(([, id]) => id);
  return encodeCbor({ v: 1, n: PLACES.map(inOrder) });
}

function encodeRecords(all: readonly Uint8Array[]): Uint8Array {
  const taken: Uint8Array[] = [];
  let size = 0;
  for (const record of all.slice(0, MAX_ANSWER_RECORDS)) {
    if (size + record.length > MAX_ANSWER_BYTES) break;
    taken.push(record);
    size += record.length;
  }
  return encodeCbor({ v: 1, r: taken });
}

function readRequest(value: Cbor): EvidenceRequest {
  const question = typeof value === 'object' && 'q' in value ? value.q : undefined;
  const head = { v: exactly(1), e: uint(U32) as Field<Epoch> };
  if (question === 'lack') {
    const map = readMap(value, {
      ...head,
      q: exactly('lack'),
      k: exactly<EpochKind>(...EPOCH_KINDS),
      h: list(bytes(SHORT_ID_BYTES), MAX_HELD),
    });
    return { ask: 'lack', kind: map.k, epoch: map.e, held: map.h };
  }
  if (question === 'ids') {
    const ids = list(bytes(SHORT_ID_BYTES, ID_BYTES), MAX_ANSWER_RECORDS);
    const map = readMap(value, {
      v: exactly(1),
      q: exactly('ids'),
      i: ids,
    });
    return { ask: 'ids', ids: map.i };
  }
  const { q, e } = readMap(value, { ...head, q: exactly('named', 'facts', 'proof') });
  return { ask: q, epoch: e };
}

function shorten(id: Uint8Array): Uint8Array {
  return id.subarray(0, SHORT_ID_BYTES);
}

function tried<T>(read: () => T): T | undefined {
  const parsed = parsing(read);
  return parsed.ok ? parsed.value : undefined;
}
