import assert from 'node:assert/strict';
import fc from 'fast-check';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import type { BlockNumber, PeerId } from '../../../src/types/ids.ts';
import {
  createNonceCache,
  NONCE_LIMITS,
  type NonceCache,
  REQUEST_WINDOW_BLOCKS,
  type RequestExpectation,
  type RequestFacts,
  signRequest,
  verifyRequest,
} from '../../../src/wire/envelope.ts';

const [alice, bob, carol] = [1, 2, 3].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed))) as [
  ReturnType<typeof identityFromSeed>,
  ReturnType<typeof identityFromSeed>,
  ReturnType<typeof identityFromSeed>,
];
const FACTS: RequestFacts = {
  protocol: '/test/1',
  method: 'ask',
  from: alice.peer,
  to: bob.peer,
  issuedAt: 100 as BlockNumber,
  body: Uint8Array.of(1, 2, 3),
};
const EXPECTED: RequestExpectation = {
  protocol: '/test/1',
  method: 'ask',
  self: bob.peer,
  from: alice.peer,
  head: 100 as BlockNumber,
};

function check(facts: Partial<RequestFacts>, expected: Partial<RequestExpectation> = {}, nonces = createNonceCache()) {
  const result = verifyRequest(
    signRequest({ ...FACTS, ...facts }, alice.sign),
    { ...EXPECTED, ...expected },
    nonces,
    verifySignature,
  );
  return result.ok ? 'ok' : result.code;
}

describe('wire: signed requests', () => {
  const table: Record<string, [string, Partial<RequestFacts>, Partial<RequestExpectation>?]> = {
    'a good one': ['ok', {}],
    'for another node': ['REQUEST_NOT_FOR_ME', { to: carol.peer }],
    'of another protocol': ['REQUEST_NOT_FOR_ME', { protocol: '/test/2' }],
    'of another method': ['REQUEST_NOT_FOR_ME', { method: 'tell' }],
    'from another than the connection says': ['REQUEST_WRONG_SENDER', {}, { from: carol.peer }],
    'signed by another than it says': ['REQUEST_BAD_SIGNATURE', { from: carol.peer }, { from: carol.peer }],
    'at the edge of the window': ['ok', { issuedAt: (100 - REQUEST_WINDOW_BLOCKS) as BlockNumber }],
    'before the window': ['REQUEST_OUT_OF_WINDOW', { issuedAt: (99 - REQUEST_WINDOW_BLOCKS) as BlockNumber }],
    'at the other edge': ['ok', { issuedAt: (100 + REQUEST_WINDOW_BLOCKS) as BlockNumber }],
    'after the window': ['REQUEST_OUT_OF_WINDOW', { issuedAt: (101 + REQUEST_WINDOW_BLOCKS) as BlockNumber }],
  };
  for (const [what, [answer, facts, expected]] of Object.entries(table)) {
    it(`${what}: ${answer}`, () => assert.equal(check(facts, expected), answer));
  }

  it('gives back the body', () => {
    const result = verifyRequest(signRequest(FACTS, alice.sign), EXPECTED, createNonceCache(), verifySignature);
    assert.deepEqual(result, { ok: true, body: FACTS.body });
  });

  it('every changed byte is refused', () => {
    const good = signRequest(FACTS, alice.sign);
    fc.assert(
      fc.property(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = good.slice();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        assert.equal(verifyRequest(bytes, EXPECTED, createNonceCache(), verifySignature).ok, false);
      }),
      { numRuns: 300 },
    );
  });

  it('is taken once within its window, and never again after it', () => {
    const nonces = createNonceCache();
    const bytes = signRequest(FACTS, alice.sign);
    const at = (head: number) => {
      const result = verifyRequest(bytes, { ...EXPECTED, head: head as BlockNumber }, nonces, verifySignature);
      return result.ok ? 'ok' : result.code;
    };
    assert.equal(at(95), 'ok');
    assert.equal(at(95), 'REQUEST_REPLAYED');
    assert.equal(at(120), 'REQUEST_REPLAYED');
    assert.equal(at(121), 'REQUEST_OUT_OF_WINDOW');
    assert.equal(nonces.size, 1);
    check({ issuedAt: 121 as BlockNumber }, { head: 121 as BlockNumber }, nonces);
    assert.equal(nonces.size, 1, 'what is out of the window is forgotten');
    assert.equal(at(110), 'REQUEST_OUT_OF_WINDOW', 'also when the head went back');
  });

  it('a request that fails its signature leaves no nonce', () => {
    const nonces = createNonceCache();
    const bytes = signRequest(FACTS, carol.sign);
    assert.equal(verifyRequest(bytes, EXPECTED, nonces, verifySignature).ok, false);
    assert.equal(nonces.size, 0);
  });

  it('remembers so many nonces and no more', () => {
    assert.equal(NONCE_LIMITS.total, 65_536);
    const nonces = createNonceCache({ total: 3, perPeer: 2, shutOut: 0 });
    assert.deepEqual(
      Array.from({ length: 3 }, () => check({}, {}, nonces)),
      ['ok', 'ok', 'REQUEST_TOO_MANY'],
    );
    nonces.add({ from: carol.peer, nonce: Uint8Array.of(1), issuedAt: 100 as BlockNumber });
    const fromCarol = { from: carol.peer, nonce: Uint8Array.of(2), issuedAt: 100 as BlockNumber };
    assert.equal(nonces.check(fromCarol, 100 as BlockNumber), 'REQUEST_TOO_MANY', 'the table is full for all');
    assert.equal(
      check({ issuedAt: 121 as BlockNumber }, { head: 121 as BlockNumber }, nonces),
      'ok',
      'a later window has room',
    );
  });

  describe('when many peers fill the table', () => {
    const [H, W] = [100, REQUEST_WINDOW_BLOCKS];
    const limits = { total: 6, perPeer: 4, shutOut: 2 };
    const peerOf = (name: string) => name as PeerId;
    let sent: number;

    beforeEach(() => {
      sent = 0;
    });

    function send(nonces: NonceCache, from: string, issuedAt = H, head = H): string {
      sent += 1;
      const request = { from: peerOf(from), nonce: Uint8Array.of(sent), issuedAt: issuedAt as BlockNumber };
      const refusal = nonces.check(request, head as BlockNumber);
      if (refusal === undefined) nonces.add(request);
      return refusal ?? 'ok';
    }

    it('the one that sent most makes room and waits until what it sent has expired', () => {
      const nonces = createNonceCache(limits);
      assert.deepEqual(
        ['hog', 'hog', 'hog', 'other', 'other', 'a'].map((from) => send(nonces, from)),
        new Array(6).fill('ok'),
      );
      assert.equal(send(nonces, 'b'), 'ok');
      assert.equal(nonces.size, 4);
      assert.equal(send(nonces, 'hog'), 'REQUEST_TOO_MANY');
      assert.equal(send(nonces, 'hog', H + W, H + W), 'REQUEST_TOO_MANY', 'nothing that it could have sent before');
      assert.equal(send(nonces, 'hog', H + W + 1, H + W + 1), 'ok');
    });

    it('no request is ever taken twice', () => {
      const nonces = createNonceCache(limits);
      const first = { from: peerOf('hog'), nonce: Uint8Array.of(99), issuedAt: (H + W) as BlockNumber };
      nonces.add(first);
      for (const from of ['hog', 'hog', 'a', 'b', 'c', 'd']) send(nonces, from);
      for (let head = H; head <= H + 2 * W + 1; head += 1)
        assert.notEqual(nonces.check(first, head as BlockNumber), undefined, `at ${head}`);
    });

    it('who has stake is not the one, however much it sent', () => {
      const nonces = createNonceCache(limits, (peer) => (peer === 'rich' ? 1n : 0n));
      for (const from of ['rich', 'rich', 'rich', 'rich', 'a', 'b']) send(nonces, from);
      assert.equal(send(nonces, 'c'), 'REQUEST_TOO_MANY', 'a stranger that would have sent as much as the others');
      const two = createNonceCache(limits, (peer) => (peer === 'rich' ? 1n : 0n));
      for (const from of ['a', 'b', 'c', 'd', 'e', 'f']) send(two, from);
      assert.equal(send(two, 'rich'), 'ok', 'and gets in where strangers do not');
      assert.equal(send(two, 'g'), 'REQUEST_TOO_MANY');
    });

    it('so many are shut out and no more', () => {
      const nonces = createNonceCache(limits);
      for (let i = 0; i < 3; i += 1) for (let n = 0; n < 2 * (3 - i); n += 1) send(nonces, `hog ${i} ${n % 2}`);
      assert.ok(nonces.size <= limits.total);
      let refused = 0;
      for (let i = 0; i < 20; i += 1) if (send(nonces, `many ${i}`) !== 'ok') refused += 1;
      assert.ok(refused >= 10 && nonces.size <= limits.total);
    });
  });
});
