import assert from 'node:assert/strict';
import fc from 'fast-check';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import type { BlockNumber } from '../../../src/types/ids.ts';
import {
  createNonceCache,
  MAX_NONCES,
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
    assert.equal(MAX_NONCES, 65_536);
    const nonces = createNonceCache({ total: 3, perPeer: 2 });
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
});
