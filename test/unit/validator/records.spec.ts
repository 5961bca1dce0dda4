// The record store: what is admitted, what counts as in time, what is kept of somebody with two faces, what is forgotten (protocol.md 4, 10).

import assert from 'node:assert/strict';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import type { Address, BlockNumber, Epoch, NodeId, SubnetId } from '../../../src/types/ids.ts';
import type { EpochKind, RecordBody } from '../../../src/types/record.ts';
import type { Roster } from '../../../src/types/subnet.ts';
import { createRecords, type Via } from '../../../src/validator/records.ts';
import { signRecord } from '../../../src/wire/record.ts';

const GENESIS = new Uint8Array(32).fill(1);
const SUBNET = 128_001 as SubnetId;
const CLOCK = { slot: 3, epochLength: 20 };
const E = 7 as Epoch;
/** Block at an offset of epoch 7. */
const at = (offset: number, epoch = 7): BlockNumber => (epoch * 20 + 3 + offset) as BlockNumber;
const identities = [1, 2, 3].map((i) => identityFromSeed(new Uint8Array(32).fill(i)));

function roster(epoch: Epoch): Roster {
  const nodes = identities.map(({ peer }, i) => ({
    id: (i + 1) as NodeId,
    peer,
    hotkey: '0x' as Address,
    nodeClass: 'Validator' as const,
    startEpoch: 0 as Epoch,
  }));
  return { epoch, nodes, validators: nodes.map(({ id }) => id), live: true };
}

function store(rosterOf: (epoch: Epoch) => Roster | undefined = roster) {
  return createRecords(
    { genesis: GENESIS, subnet: SUBNET, node: 3 as NodeId, clock: CLOCK },
    { rosterOf, verify: verifySignature },
  );
}

const NONE = new Uint8Array();

interface Change {
  readonly kind?: EpochKind;
  readonly epoch?: number;
  readonly byte?: number;
  readonly genesis?: Uint8Array;
  /** Bytes of the bitmaps of a witness. */
  readonly seats?: number;
}

function record(node: number, change: Change = {}) {
  const { kind = 'hc', epoch = 7, byte = 0, genesis = GENESIS, seats = 1 } = change;
  const head = { genesis, subnet: SUBNET, epoch: epoch as Epoch, node: node as NodeId };
  const filled = new Uint8Array(32).fill(byte);
  const bodies: Record<EpochKind, RecordBody> = {
    hc: { kind: 'hc', ...head, commitment: filled, manifest: filled, audits: false },
    sc: { kind: 'sc', ...head, commitment: filled },
    hr: { kind: 'hr', ...head, salt: filled, payload: filled },
    sr: { kind: 'sr', ...head, salt: filled, payload: filled },
    pr: { kind: 'pr', ...head, seed: filled, digest: filled },
    wa: { kind: 'wa', ...head, held: Array.from({ length: 4 }, () => ({ seats: new Uint8Array(seats), ids: NONE })) },
    wb: { kind: 'wb', ...head, held: Array.from({ length: 3 }, () => ({ seats: new Uint8Array(seats), ids: NONE })) },
    au: { kind: 'au', ...head, verdicts: [] },
  };
  return signRecord(bodies[kind], identities[node - 1] as (typeof identities)[number]);
}

/** Other faces of node 1. */
function signed(i: number) {
  const commitment = new Uint8Array(32).fill(9);
  new DataView(commitment.buffer).setUint32(0, i);
  const { body } = record(1);
  return signRecord(
    { ...body, kind: 'hc', commitment, manifest: commitment, audits: false },
    identities[0] as (typeof identities)[number],
  );
}

describe('records', () => {
  it('keeps what came inside the window in its list, and what came later beside it', () => {
    const records = store();
    records.observe(at(9));
    assert.equal(records.admit(record(1).bytes, 'gossip').verdict, 'accept');
    records.observe(at(10));
    assert.deepEqual(records.admit(record(2).bytes, 'pull').verdict, 'accept');
    assert.deepEqual([...records.listed('hc', E).keys()], [1]);
    assert.equal(records.held('hc', E).length, 2);
  });

  it('takes a record one block before its window, not two', () => {
    const records = store();
    records.observe(at(1));
    assert.equal(records.admit(record(1).bytes, 'gossip').code, 'RECORD_OUT_OF_WINDOW');
    assert.equal(records.first('hc', E, 1 as NodeId), undefined);
    records.observe(at(2));
    assert.equal(records.admit(record(1).bytes, 'gossip').verdict, 'accept');
    records.observe(at(3));
    assert.equal(records.listed('hc', E).size, 1);
  });

  for (const via of ['gossip', 'dht'] as Via[]) {
    it(`does not pass on by ${via} what is late, but keeps it as evidence`, () => {
      const records = store();
      records.observe(at(9));
      records.observe(at(12));
      const late = records.admit(record(1).bytes, via);
      assert.deepEqual([late.verdict, late.code], ['ignore', 'RECORD_OUT_OF_WINDOW']);
      assert.equal(records.listed('hc', E).size, 0);
      assert.notEqual(records.first('hc', E, 1 as NodeId), undefined);
    });
  }

  it('lists everything well formed when no head was seen inside the window', () => {
    const records = store();
    records.observe(at(12));
    records.admit(record(1).bytes, 'pull');
    assert.equal(records.watched('hc', E), false);
    assert.deepEqual([...records.listed('hc', E).keys()], [1]);
  });

  it('opens the reveals of scores in the epoch after', () => {
    const records = store();
    records.observe(at(10, 8));
    assert.equal(records.admit(record(1, { kind: 'sr' }).bytes, 'gossip').verdict, 'accept');
    records.observe(at(13, 8));
    records.admit(record(2, { kind: 'sr' }).bytes, 'gossip');
    assert.deepEqual([...records.listed('sr', E).keys()], [1]);
  });

  it('keeps the first of two records and the second as proof, a third not at all', () => {
    const records = store();
    records.observe(at(5));
    const [first, second, third] = [record(1, { byte: 1 }), record(1, { byte: 2 }), record(1, { byte: 3 })];
    assert.equal(records.admit(first.bytes, 'gossip').verdict, 'accept');
    assert.equal(records.admit(first.bytes, 'gossip').verdict, 'accept');
    assert.equal(records.equivocators(E).size, 0);
    assert.equal(records.admit(second.bytes, 'gossip').verdict, 'accept');
    assert.equal(records.admit(third.bytes, 'gossip').verdict, 'ignore');
    assert.deepEqual(records.first('hc', E, 1 as NodeId)?.id, first.id);
    assert.deepEqual(
      records.held('hc', E).map(({ id }) => id),
      [first.id, second.id],
    );
    assert.notEqual(records.byId(second.id), undefined);
    assert.equal(records.byId(third.id), undefined);
    const proof = records.equivocators(E).get(1 as NodeId);
    assert.deepEqual(
      proof?.map(({ id }) => id),
      [first.id, second.id],
    );
    assert.deepEqual(
      [...records.inTime('hc', E).values()].map(({ id }) => id),
      [first.id],
    );
    assert.deepEqual(records.byId(second.id.subarray(0, 16))?.id, second.id);
    assert.equal(records.byId(third.id.subarray(0, 16)), undefined);
    const other = second.id.map((byte, i) => (i === 31 ? byte ^ 1 : byte));
    assert.equal(records.byId(other), undefined, 'the same beginning is not the same id');
  });

  it('keeps a third face when a proposal rests on it', () => {
    const records = store();
    records.observe(at(5));
    const third = record(1, { byte: 3 });
    for (const byte of [1, 2]) records.admit(record(1, { byte }).bytes, 'gossip');
    records.admit(third.bytes, 'named');
    assert.deepEqual(records.byId(third.id)?.id, third.id);
    const faces = Array.from({ length: 300 }, (_, i) => signed(i));
    for (const face of faces) records.admit(face.bytes, 'named');
    assert.equal(faces.filter(({ id }) => records.byId(id) !== undefined).length, 255, 'but not without end');
    assert.equal(records.held('hc', E).length, 2);
  });

  for (const [name, bytes, code, verdict] of [
    ['junk', new Uint8Array([1, 2, 3]), 'RECORD_MALFORMED', 'reject'],
    ['more than 24 KiB', new Uint8Array((24 << 10) + 1), 'RECORD_TOO_LARGE', 'reject'],
    ['another chain', record(1, { genesis: new Uint8Array(32) }).bytes, 'RECORD_MALFORMED', 'reject'],
    [
      'a stranger',
      signRecord({ ...record(1).body, node: 9 as NodeId }, identities[0] as (typeof identities)[number]).bytes,
      'RECORD_UNKNOWN_NODE',
      'ignore',
    ],
    [
      'the key of another',
      signRecord({ ...record(1).body, node: 2 as NodeId }, identities[0] as (typeof identities)[number]).bytes,
      'RECORD_BAD_SIGNATURE',
      'reject',
    ],
    ['an epoch long past', record(1, { epoch: 4 }).bytes, 'RECORD_OUT_OF_WINDOW', 'ignore'],
    ['an epoch to come', record(1, { epoch: 9 }).bytes, 'RECORD_OUT_OF_WINDOW', 'ignore'],
  ] as const) {
    it(`answers ${name} with ${code}`, () => {
      const records = store();
      records.observe(at(5));
      const { code: found, verdict: judged } = records.admit(bytes, 'gossip');
      assert.deepEqual([found, judged], [code, verdict]);
      assert.equal(records.refusals()[code], 1);
      assert.equal(records.held('hc', E).length, 0);
    });
  }

  it('does not take a known body under another signature for known', () => {
    const records = store();
    records.observe(at(5));
    const good = record(1);
    records.admit(good.bytes, 'gossip');
    const forged = good.bytes.slice();
    forged[forged.length - 1] = (forged[forged.length - 1] as number) ^ 1;
    assert.equal(records.admit(forged, 'dht').code, 'RECORD_BAD_SIGNATURE');
  });

  it('tries again, with the block of arrival, what waited for its roster', () => {
    let known = false;
    const records = store((epoch) => (known ? roster(epoch) : undefined));
    records.observe(at(9));
    assert.equal(records.admit(record(1).bytes, 'gossip').verdict, 'ignore');
    known = true;
    records.observe(at(10));
    assert.deepEqual([...records.listed('hc', E).keys()], [1]);
  });

  it('holds a bounded number of records that wait', () => {
    let tries = 0;
    const records = store(() => {
      tries += 1;
      return undefined;
    });
    records.observe(at(5));
    for (let i = 0; i < 1100; i++) {
      const head = { genesis: GENESIS, subnet: SUBNET, epoch: E, node: i as NodeId, commitment: new Uint8Array(32) };
      records.admit(signRecord({ kind: 'sc', ...head }, { sign: () => new Uint8Array(64) }).bytes, 'gossip');
    }
    tries = 0;
    records.observe(at(13));
    for (let i = 0; i < 1100; i++) {
      const head = { genesis: GENESIS, subnet: SUBNET, epoch: E, node: i as NodeId, commitment: new Uint8Array(32) };
      records.admit(signRecord({ kind: 'sc', ...head }, { sign: () => new Uint8Array(64) }).bytes, 'gossip');
    }
    tries = 0;
    records.observe(at(14));
    assert.equal(tries, 1024);
  });

  it('keeps a list of what was in time whoever signed twice, also when no head was seen in the window', () => {
    const records = store();
    records.observe(at(5));
    records.admit(record(1, { byte: 1 }).bytes, 'gossip');
    records.admit(record(1, { byte: 2 }).bytes, 'gossip');
    records.observe(at(12));
    records.admit(record(2).bytes, 'pull');
    assert.deepEqual(
      [...records.inTime('hc', E)].map(([node, { id }]) => [node, id]),
      [[1, record(1, { byte: 1 }).id]],
    );
    const late = store();
    late.observe(at(12));
    late.admit(record(1).bytes, 'pull');
    assert.equal(late.inTime('hc', E).size, 0);
  });

  it('closes its list of commitments when enough others have closed theirs, though its head does not move', () => {
    const records = store();
    records.observe(at(5));
    records.admit(record(1).bytes, 'gossip');
    assert.equal(records.admit(record(1, { kind: 'wa' }).bytes, 'gossip').verdict, 'ignore', 'not passed on so early');
    assert.equal(records.admit(record(3, { kind: 'wa' }).bytes, 'self').verdict, 'accept', 'its own does not count');
    records.admit(record(2).bytes, 'gossip');
    assert.deepEqual([...records.inTime('hc', E).keys()], [1, 2], 'one other of three may be faulty');
    records.admit(record(2, { kind: 'wa' }).bytes, 'pull');
    assert.equal(records.admit(record(3).bytes, 'gossip').code, 'RECORD_OUT_OF_WINDOW');
    assert.deepEqual([...records.inTime('hc', E).keys()], [1, 2]);
  });

  it('takes no witness whose bitmaps are not over the roster', () => {
    const records = store();
    records.observe(at(10));
    assert.equal(records.admit(record(1, { kind: 'wa', seats: 2 }).bytes, 'gossip').code, 'RECORD_MALFORMED');
    assert.equal(records.admit(record(1, { kind: 'wa' }).bytes, 'gossip').verdict, 'accept');
  });

  it('forgets epochs before e-2', () => {
    const records = store();
    records.observe(at(5));
    records.admit(record(1).bytes, 'gossip');
    records.observe(at(19, 9));
    assert.equal(records.held('hc', E).length, 1);
    records.observe(at(0, 10));
    assert.equal(records.held('hc', E).length, 0);
    assert.equal(records.byId(record(1).id), undefined);
  });

  it('knows nothing before the first head', () => {
    assert.equal(store().admit(record(1).bytes, 'gossip').verdict, 'ignore');
  });
});
