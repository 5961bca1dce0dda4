import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MAX_PROOF_BYTES, MAX_PROOF_HEADER_BYTES, MAX_PROOF_NODES } from '../../../src/chain/types.ts';
import type { Epoch, NodeId, SubnetId } from '../../../src/types/ids.ts';
import type { SignedRecord } from '../../../src/types/record.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import {
  type Answers,
  answer,
  decodeFacts,
  decodeNamed,
  decodeProof,
  decodeRecords,
  decodeRequest,
  type EvidenceRequest,
  encodeNamed,
  encodeProof,
  encodeRequest,
  isNothing,
  MAX_EVIDENCE_FRAME,
} from '../../../src/validator/evidence-protocol.ts';
import { NO_IDS } from '../../../src/wire/evidence.ts';
import { signRecord } from '../../../src/wire/record.ts';

const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const epoch = fc.nat({ max: 1000 }).map((n) => n as Epoch);
const request: fc.Arbitrary<EvidenceRequest> = fc.oneof(
  fc
    .tuple(epoch, fc.array(id, { maxLength: 20 }))
    .map(([e, held]): EvidenceRequest => ({ ask: 'lack', kind: 'hr', epoch: e, held })),
  fc.array(id, { maxLength: 20 }).map((ids): EvidenceRequest => ({ ask: 'ids', ids })),
  epoch.map((e): EvidenceRequest => ({ ask: 'named', epoch: e })),
  epoch.map((e): EvidenceRequest => ({ ask: 'facts', epoch: e })),
  epoch.map((e): EvidenceRequest => ({ ask: 'proof', epoch: e })),
);

function reveal(node: number, bytes: number): SignedRecord {
  const head = { genesis: new Uint8Array(32), subnet: 1 as SubnetId, epoch: 7 as Epoch, node: node as NodeId };
  const body = { kind: 'hr', ...head, salt: new Uint8Array(32), payload: new Uint8Array(bytes) } as const;
  return signRecord(body, { sign: () => new Uint8Array(64) });
}

function holding(records: readonly SignedRecord[], also: Partial<Answers> = {}): Answers {
  return {
    named: () => undefined,
    facts: () => undefined,
    proof: () => undefined,
    ...also,
    held: () => records,
    byId: (wanted: Uint8Array) => records.find((one) => Buffer.compare(one.id, wanted) === 0),
  };
}

describe('evidence protocol', () => {
  it('asks so that the other side understands', () => {
    fc.assert(
      fc.property(request, (one) => {
        const shortened = one.ask === 'lack' ? { ...one, held: one.held.map((full) => full.slice(0, 16)) } : one;
        const decoded = decodeRequest(encodeRequest(one));
        assert.deepEqual(JSON.stringify(decoded), JSON.stringify(shortened));
      }),
    );
  });

  it('does not understand anything else, and does not throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.equal(decodeRequest(bytes), undefined)));
    assert.equal(decodeRecords(new Uint8Array([0xa0])), undefined);
    assert.equal(decodeNamed(new Uint8Array([0xa0])), undefined);
    assert.equal(decodeFacts(new Uint8Array([0xa0])), undefined);
  });

  it('hands over what the asker lacks, and only that', () => {
    const all = [1, 2, 3].map((node) => reveal(node, 10));
    const held = [(all[1] as SignedRecord).id];
    const body = answer({ ask: 'lack', kind: 'hr', epoch: 7 as Epoch, held }, holding(all));
    assert.equal(decodeRecords(body)?.length, 2);
  });

  it('hands over records by id', () => {
    const all = [1, 2].map((node) => reveal(node, 10));
    const ids = [(all[0] as SignedRecord).id, new Uint8Array(32)];
    assert.equal(decodeRecords(answer({ ask: 'ids', ids }, holding(all)))?.length, 1);
  });

  it('never answers with more than a frame', () => {
    const all = Array.from({ length: 512 }, (_, node) => reveal(node, 20_000));
    const body = answer({ ask: 'lack', kind: 'hr', epoch: 7 as Epoch, held: [] }, holding(all));
    assert.ok(body.length <= MAX_EVIDENCE_FRAME);
    assert.ok((decodeRecords(body)?.length ?? 0) > 10);
    const small = Array.from({ length: 512 }, (_, node) => reveal(node, 10));
    const many = answer({ ask: 'lack', kind: 'hr', epoch: 7 as Epoch, held: [] }, holding(small));
    assert.equal(decodeRecords(many)?.length, 256);
  });

  it('names ids in the order of seats, or says that it has none', () => {
    const ids = {
      ...NO_IDS,
      hc: new Map([
        [3, new Uint8Array(32).fill(3)],
        [1, new Uint8Array(32).fill(1)],
      ]),
    };
    const named = decodeNamed(
      answer({ ask: 'named', epoch: 7 as Epoch }, holding([], { named: () => encodeNamed(ids) })),
    );
    assert.deepEqual(
      named?.hc.map((one) => one[0]),
      [1, 3],
    );
    assert.deepEqual(named?.au, []);
    assert.equal(decodeNamed(answer({ ask: 'named', epoch: 7 as Epoch }, holding([]))), undefined);
  });

  it('hands over what proves who was in an epoch, if it is not longer than a frame', () => {
    const ask = { ask: 'proof', epoch: 7 as Epoch } as const;
    const proof = { header: Uint8Array.of(1, 2), nodes: [Uint8Array.of(3), new Uint8Array(MAX_PROOF_BYTES - 1)] };
    const body = answer(ask, holding([], { proof: () => encodeProof(proof) }));
    assert.deepEqual(decodeProof(body), proof);
    assert.ok(body.length <= MAX_EVIDENCE_FRAME);
    const many = {
      header: new Uint8Array(MAX_PROOF_HEADER_BYTES),
      nodes: new Array(MAX_PROOF_NODES).fill(new Uint8Array(512)),
    };
    assert.ok((encodeProof(many)?.length ?? Number.POSITIVE_INFINITY) <= MAX_EVIDENCE_FRAME);
    assert.equal(encodeProof({ ...proof, nodes: [...proof.nodes, Uint8Array.of(1)] }), undefined);
    assert.equal(encodeProof({ ...many, nodes: [...many.nodes, new Uint8Array()] }), undefined);
    assert.equal(encodeProof({ ...proof, header: new Uint8Array(MAX_PROOF_HEADER_BYTES + 1) }), undefined);
    const nothing = answer(ask, holding([]));
    assert.equal(isNothing(nothing), true);
    assert.equal(isNothing(body), false);
    assert.equal(decodeProof(nothing), undefined);
    assert.equal(
      decodeProof(encodeCbor({ v: 1, h: proof.header, n: new Array(MAX_PROOF_NODES + 1).fill(Uint8Array.of(1)) })),
      undefined,
    );
  });

  it('tells who was in an epoch', () => {
    const ask = { ask: 'facts', epoch: 7 as Epoch } as const;
    const told = (facts: Uint8Array | undefined) => decodeFacts(answer(ask, holding([], { facts: () => facts })));
    assert.deepEqual(told(Uint8Array.of(1)), Uint8Array.of(1));
    assert.equal(told(undefined), undefined);
    assert.equal(told(new Uint8Array((1 << 20) + 1)), undefined);
  });
});
