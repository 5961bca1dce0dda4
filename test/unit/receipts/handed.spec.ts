// Receipts that clients hand to an auditor: what is kept of them, what an auditor finds with them that hosters keep quiet about, and that
// nobody is accused by what a client says.

import assert from 'node:assert/strict';
import { type Client, createClient } from '../../../src/client/client.ts';
import { createHandover, type HandoverOptions } from '../../../src/client/handover.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import type { Overlay } from '../../../src/p2p/types.ts';
import { createAuditor } from '../../../src/receipts/auditor.ts';
import {
  createHanded,
  decodeHanding,
  encodeHanding,
  type Handed,
  type Handing,
  MAX_HANDED,
  serveHanded,
} from '../../../src/receipts/handed.ts';
import { AUDIT_PROTOCOL, decodeAuditRequest, encodeListed, encodeRows } from '../../../src/receipts/protocol.ts';
import { type BlockNumber, ONE, type PeerId, type ShardIndex } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';
import type { SessionId } from '../../../src/wire/infer.ts';
import { decodeReceipt, type Receipt, signReceipt } from '../../../src/wire/receipt.ts';
import { collect, createFakeEngine, GREEDY, identityOf, MODEL, type Net, promptOf, startNet } from '../client/net.ts';

const never = new AbortController().signal;
const SECRET = new Uint8Array(32).fill(5);
const CLIENT = identityOf(200).peer;
const WINDOW_BYTES = 4;

function receiptOf(place: number, changes: Partial<Receipt> = {}, signer = place): Handing['receipts'][number] {
  const receipt: Receipt = {
    session: 'ab'.repeat(16) as SessionId,
    manifest: MODEL.hash,
    from: 0 as ShardIndex,
    to: 1 as ShardIndex,
    codec: 'f16',
    position: 0,
    count: 1,
    taken: new Uint8Array(32),
    given: new Uint8Array(32),
    sketch: new Uint8Array(128),
    block: 1 as BlockNumber,
    ...changes,
  };
  return { peer: identityOf(place).peer, hop: 0, receipt: signReceipt(receipt, identityOf(signer)).bytes };
}

/** Peers of nodes: those of hosters 0 to 3. */
function created(): Handed {
  const members = new Set([0, 1, 2, 3].map((i) => identityOf(i).peer));
  return createHanded(
    { manifest: MODEL.hash, secret: SECRET },
    { isMember: (peer) => members.has(peer), verify: verifySignature },
  );
}

describe('what clients hand over', () => {
  it('comes as it went, and no other bytes do', () => {
    const handing: Handing = {
      receipts: [receiptOf(1), receiptOf(2)],
      first: { request: Uint8Array.of(1, 2), rows: new Uint8Array(8) },
    };
    assert.deepEqual(decodeHanding(encodeHanding(handing)), { ok: true, value: handing });
    const bare = { receipts: handing.receipts };
    assert.deepEqual(decodeHanding(encodeHanding(bare)), { ok: true, value: bare });
    const none = encodeHanding({ receipts: [] });
    for (const bytes of [none, encodeHanding(bare).subarray(1), new Uint8Array(3)])
      assert.equal(decodeHanding(bytes).ok, false);
  });

  it('is kept when a node of this subnet has signed it for this model, once', () => {
    const handed = created();
    const good = receiptOf(1);
    const others = [receiptOf(9), receiptOf(1, {}, 2), receiptOf(1, { manifest: 'ee'.repeat(32) }), good];
    assert.equal(handed.take(CLIENT, { receipts: [...others, { ...good, receipt: Uint8Array.of(1) }] }), 1);
    assert.equal(handed.take(CLIENT, { receipts: [good] }), 0);
    assert.deepEqual(
      handed.of(good.peer).map(({ receipt }) => receipt),
      [good.receipt],
    );
    assert.deepEqual(handed.of(identityOf(2).peer), []);
  });

  it('is so much of each hoster and no more, the same whoever hands over most', () => {
    const all = Array.from({ length: 96 }, (_, i) => receiptOf(1, { position: 32 * i }));
    const kept = (order: readonly Handing['receipts'][number][]) => {
      const handed = created();
      for (let at = 0; at < order.length; at += MAX_HANDED)
        handed.take(CLIENT, { receipts: order.slice(at, at + MAX_HANDED) });
      return handed.of(identityOf(1).peer).map(({ receipt }) => Buffer.from(receipt).toString('hex'));
    };
    assert.equal(kept(all).length, 32);
    assert.deepEqual(kept(all.toReversed()), kept(all));
  });

  it('ends for a client that hands over without end, until the next audit; what is old is forgotten', () => {
    const handed = created();
    let taken = 0;
    for (let i = 0; i < 70; i += 1) taken += handed.take(CLIENT, { receipts: [receiptOf(i % 4, { position: i })] });
    assert.equal(taken, 64);
    assert.equal(handed.take(identityOf(150).peer, { receipts: [receiptOf(0, { position: 99 })] }), 1);
    handed.turn();
    assert.equal(handed.take(CLIENT, { receipts: [receiptOf(0, { position: 100 })] }), 1);
    handed.turn();
    assert.equal(handed.of(identityOf(0).peer).length, 1);
    handed.turn();
    assert.equal(handed.of(identityOf(0).peer).length, 0);
  });
});

describe('audits of what was handed over', () => {
  const AUDITOR = 150;
  let net: Net;
  let handed: Handed;
  let auditorOverlay: Overlay;
  /** Whether the access policy lets everybody ask. */
  let isOpen: boolean;
  const closing: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    net = await startNet({
      hosters: 2,
      shardsOf: (i) => [2 * i, 2 * i + 1],
      mayAudit: (peer) => peer === identityOf(AUDITOR).peer,
    });
    handed = created();
    isOpen = true;
    auditorOverlay = net.network.join(identityOf(AUDITOR));
    await serveHanded(handed, { overlay: auditorOverlay, mayAsk: () => isOpen, log: silentLog });
  });
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
    await net.close();
  });

  function clientWith(options: HandoverOptions, overlay: Pick<Overlay, 'request'> = net.overlay): Client {
    const handover = createHandover(options, {
      overlay: { self: net.overlay.self, peers: () => [auditorOverlay.self], request: overlay.request },
      isValidator: (peer) => peer === auditorOverlay.self,
      random: () => 0.5,
      log: silentLog,
    });
    closing.push(handover.close);
    return createClient(
      { model: MODEL },
      {
        overlay: net.overlay,
        chain: { heads: net.heads },
        directory: net.directory,
        identity: net.identity,
        verify: verifySignature,
        now: net.now,
        handover,
        log: silentLog,
      },
    );
  }

  async function serve(client: Client): Promise<void> {
    await collect(client.generate(promptOf(40), { ...GREEDY, maxTokens: 4 }, never));
    await net.settle();
  }

  /** What hosters do not say: nothing of it is listed, nor handed over where that is kept quiet about, too. */
  async function audit(quiet: 'list' | 'all'): Promise<readonly string[]> {
    const { hash, width, vocab, shardCount } = MODEL;
    const shards = Array.from({ length: shardCount }, () => ({ rms: 1, tau: 1_000, auditable: true }));
    const auditor = createAuditor(
      { model: { hash, width, vocab, shardCount }, shards, holds: [0, 1, 2, 3] as ShardIndex[] },
      {
        overlay: {
          async request(peer, protocol, body, options) {
            assert.equal(protocol, AUDIT_PROTOCOL);
            const asked = decodeAuditRequest(body);
            if (asked.ok && asked.value.ask === 'list') return encodeListed([]);
            return quiet === 'all' ? encodeRows(undefined) : auditorOverlay.request(peer, protocol, body, options);
          },
        },
        engine: createFakeEngine(),
        verify: verifySignature,
        secret: SECRET,
        handed,
        log: silentLog,
      },
    );
    const accused = net.hosters.map(({ node, peer }) => ({ node, peer }));
    const verdicts = await auditor.audit(accused, ONE, never);
    return [
      ...new Set(verdicts.map(({ accused: node, shard, bad }) => `${bad ? 'bad' : 'good'} ${node} ${shard}`)),
    ].sort();
  }

  /** Gives rows that its shards did not make. */
  function cheat(i: number): void {
    const engine = net.hosters[i]?.engine;
    assert.ok(engine);
    const open = engine.openSession.bind(engine);
    engine.openSession = async (...args) => {
      const kv = await open(...args);
      const step = kv.step.bind(kv);
      return Object.assign(kv, {
        async step(...rows: Parameters<typeof step>) {
          const result = await step(...rows);
          if (result.kind !== 'hidden') return result;
          return { ...result, data: result.data.map((value) => value + 9) };
        },
      });
    };
  }

  it('a hoster that lists nothing is judged all the same', async () => {
    cheat(0);
    await serve(net.client);
    assert.deepEqual(await audit('list'), [], 'nobody has handed over anything');
    await serve(clientWith({ what: 'receipts', share: 1 }));
    const found = await audit('list');
    assert.ok(found.includes('bad 1 0') || found.includes('bad 1 1'));
    assert.ok(found.every((one) => !one.startsWith('bad 2')));
  });

  it('from whom the access policy excludes nothing is taken', async () => {
    isOpen = false;
    await serve(clientWith({ what: 'receipts', share: 1 }));
    assert.deepEqual(handed.of(net.hosters[0]?.peer as PeerId), []);
  });

  it('of receipts alone nobody is judged who says that it keeps nothing', async () => {
    cheat(0);
    await serve(clientWith({ what: 'receipts', share: 1 }));
    assert.ok(handed.of(net.hosters[0]?.peer as PeerId).length > 0);
    assert.deepEqual(await audit('all'), []);
  });

  it('with the tokens that entered the first hop is', async () => {
    await serve(clientWith({ what: 'transcripts', share: 1 }));
    assert.deepEqual(await audit('all'), ['good 1 0']);
    cheat(0);
    await serve(clientWith({ what: 'transcripts', share: 1 }));
    assert.deepEqual(await audit('all'), ['bad 1 0', 'good 1 0']);
  });

  it('a client that lies about what entered accuses nobody', async () => {
    const lies: ((handing: Handing) => Handing)[] = [
      ({ receipts, first }) => ({
        receipts,
        first: {
          request: first?.request ?? new Uint8Array(1),
          rows: (first?.rows ?? new Uint8Array()).map((b) => b ^ 1),
        },
      }),
      ({ receipts, first }) => ({
        receipts,
        first: { request: new Uint8Array(40), rows: first?.rows ?? new Uint8Array(4) },
      }),
      ({ receipts, first }) => ({
        receipts,
        first: {
          request: first?.request ?? new Uint8Array(1),
          rows: (first?.rows ?? new Uint8Array()).subarray(WINDOW_BYTES),
        },
      }),
    ];
    for (const lie of lies) {
      const request: Overlay['request'] = (peer, protocol, body, options) => {
        const told = decodeHanding(body);
        assert.ok(told.ok && told.value.first !== undefined);
        return net.overlay.request(peer, protocol, encodeHanding(lie(told.value)), options);
      };
      await serve(clientWith({ what: 'transcripts', share: 1 }, { request }));
    }
    assert.ok(handed.of(net.hosters[0]?.peer as PeerId).length >= lies.length);
    assert.deepEqual(await audit('all'), []);
    assert.deepEqual(
      (await audit('list')).filter((one) => one.startsWith('bad')),
      [],
    );
  });

  it('only of the share that was chosen, and no tokens unless chosen', async () => {
    await serve(clientWith({ what: 'transcripts', share: 0.5 }));
    assert.deepEqual(
      net.hosters.map(({ peer }) => handed.of(peer).length),
      [0, 0],
      '0.5 is not below a share of 0.5',
    );
    await serve(clientWith({ what: 'receipts', share: 0.51 }));
    const [{ receipt } = { receipt: new Uint8Array() }] = handed.of(net.hosters[0]?.peer as PeerId);
    const parsed = decodeReceipt(receipt);
    assert.ok(parsed.ok);
    assert.equal(handed.rowsOf(net.hosters[0]?.peer as PeerId, parsed.value.value.session), undefined);
  });

  it('whoever computes the first shards at home hands over nothing of them', async () => {
    let told: Handing | undefined;
    const handover = createHandover(
      { what: 'transcripts', share: 1 },
      {
        overlay: {
          self: CLIENT,
          peers: () => [auditorOverlay.self],
          async request(_peer, _protocol, body) {
            const handing = decodeHanding(body);
            told = handing.ok ? handing.value : undefined;
            return new Uint8Array(0);
          },
        },
        isValidator: () => true,
        random: () => 0.5,
        log: silentLog,
      },
    );
    const [own, other] = [receiptOf(0), { ...receiptOf(1), hop: 1 }];
    const offer = { node: 1, load: 0, rowsPerSecond: 0, freePositions: 1, shards: [] };
    const hops = [CLIENT, other.peer].map((peer, i) => ({ ...offer, peer, from: i, to: i + 1 }));
    handover.give({
      route: hops as never,
      receipts: [
        { hop: 0, receipt: own.receipt },
        { hop: 1, receipt: other.receipt },
      ],
      first: { request: Uint8Array.of(1), rows: new Uint8Array(8) },
    });
    await handover.close();
    assert.deepEqual(told, { receipts: [other] });
  });
});
