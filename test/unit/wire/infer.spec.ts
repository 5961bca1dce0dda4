import assert from 'node:assert/strict';
import fc from 'fast-check';
import { identityFromSeed } from '../../../src/p2p/identity.ts';
import type { PeerId, ShardIndex } from '../../../src/types/ids.ts';
import { peerToBytes } from '../../../src/types/peer-id.ts';
import { concatBytes, toHex } from '../../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../src/util/cbor.ts';
import { encodeFrame } from '../../../src/wire/frame.ts';
import {
  decodeMessage,
  decodeMessages,
  decodeOpen,
  encodeMessage,
  encodeOpen,
  INFER_CODES,
  type InferMessage,
  MAX_ROUTE_HOPS,
  MAX_STEP_ROWS,
  type OpenBody,
  roundSampling,
  type SessionId,
  type SessionSalt,
  sessionIdOf,
} from '../../../src/wire/infer.ts';

const SESSION = '0f'.repeat(16) as SessionId;
const SALT = '0f'.repeat(16) as SessionSalt;
const PEERS = [1, 2, 3].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed)).peer);
const SAMPLING = { temperature: 0.7, topK: 40, topP: 0.95, seed: 2n ** 64n - 1n };

const session = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => toHex(bytes) as SessionId);
const code = fc.constantFrom(...INFER_CODES);
const position = fc.nat({ max: 1 << 24 });
const plain = { noNullPrototype: true };
const token = fc.record({ id: fc.nat({ max: 0xffff_ffff }), logprob: fc.float({ noNaN: true, max: 0 }) }, plain);
const alternatives = fc.array(token, { minLength: 2, maxLength: 2 });
const tokenWithTwo = fc.record({ id: fc.nat(), logprob: fc.constant(-1), alternatives }, plain);
const anyMessage: fc.Arbitrary<InferMessage> = fc.oneof(
  fc.record({ type: fc.constant('OPEN' as const), request: fc.uint8Array({ maxLength: 200 }) }, plain),
  fc.record({ type: fc.constant('ACCEPT' as const), session, tokensGranted: position }, plain),
  fc.record({ type: fc.constant('REFUSE' as const), code, retryAfterMs: fc.nat({ max: 600_000 }) }, plain),
  fc
    .record(
      {
        type: fc.constant('STEP' as const),
        session,
        hop: fc.nat({ max: MAX_ROUTE_HOPS - 1 }),
        position,
        count: fc.integer({ min: 1, max: MAX_STEP_ROWS }),
        codec: fc.constantFrom('ids' as const, 'f16' as const, 'f32' as const),
        draw: fc.boolean(),
        us: fc.nat(),
        tensor: fc.uint8Array({ maxLength: 200 }),
      },
      plain,
    )
    .map(({ us, ...step }) => ({ ...step, spentUs: Array.from({ length: step.hop }, () => us) })),
  fc.record(
    {
      type: fc.constant('TOKENS' as const),
      session,
      position,
      tokens: fc.oneof(
        fc.array(token, { minLength: 1, maxLength: 9 }),
        fc.array(tokenWithTwo, { minLength: 1, maxLength: 9 }),
      ),
      spentUs: fc.array(fc.nat(), { maxLength: 9 }),
    },
    plain,
  ),
  fc.record({ type: fc.constant('CLOSE' as const), session, usage: fc.uint8Array({ maxLength: 512 }) }, plain),
  fc.record(
    { type: fc.constant('RECEIPT' as const), receipt: fc.uint8Array({ minLength: 1, maxLength: 1_024 }) },
    plain,
  ),
  fc.record({ type: fc.constant('ERROR' as const), code, hop: fc.nat({ max: MAX_ROUTE_HOPS - 1 }) }, plain),
);

function bytesOf(message: InferMessage): Uint8Array {
  return concatBytes(...encodeMessage(message));
}

describe('wire: messages of inference sessions', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const decoded = decodeMessage(bytesOf(message));
        assert.ok(decoded.ok);
        assert.deepEqual(decoded.value, message);
      }),
      { numRuns: 500 },
    );
  });

  it('a changed byte gives another message or a reason, never an exception', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, at, change) => {
        const bytes = bytesOf(message);
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ change;
        decodeMessage(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  const s = new Uint8Array(16);
  const step = { s, j: 0, p: 0, n: 1, c: 'ids', w: 0, u: [] };
  const bad: Record<string, readonly Uint8Array[]> = {
    'a STEP of no rows': encodeFrame('STEP', { ...step, n: 0 }),
    'a STEP of too many rows': encodeFrame('STEP', { ...step, n: MAX_STEP_ROWS + 1 }),
    'a STEP with an unknown codec': encodeFrame('STEP', { ...step, c: 'int8' }),
    'a STEP with a key more': encodeFrame('STEP', { ...step, z: 0 }),
    'a STEP without a key': encodeFrame('STEP', { s, j: 0, p: 0, n: 1, c: 'ids' }),
    'a STEP without the times of the hops before': encodeFrame('STEP', { ...step, j: 1 }),
    'a STEP beyond any route': encodeFrame('STEP', { ...step, j: MAX_ROUTE_HOPS }),
    'TOKENS with too few bytes': encodeFrame('TOKENS', { s, p: 0, n: 2, k: 0, u: [] }, new Uint8Array(15)),
    'TOKENS without the alternatives they promise': encodeFrame(
      'TOKENS',
      { s, p: 0, n: 1, k: 1, u: [] },
      new Uint8Array(8),
    ),
    'TOKENS with too many alternatives': encodeFrame('TOKENS', { s, p: 0, n: 1, k: 21, u: [] }, new Uint8Array(176)),
    'TOKENS that promise many': encodeFrame('TOKENS', { s, p: 0, n: 1 << 20, k: 0, u: [] }),
    'TOKENS with a logprob that is no number': encodeFrame(
      'TOKENS',
      { s, p: 0, n: 1, k: 0 },
      Uint8Array.of(1, 0, 0, 0, 0, 0, 0xc0, 0x7f),
    ),
    'a CLOSE with a tensor': encodeFrame('CLOSE', { s, u: new Uint8Array(0) }, Uint8Array.of(1)),
    'a session id of 15 bytes': encodeFrame('CLOSE', { s: s.subarray(1), u: new Uint8Array(0) }),
    'a usage of 513 bytes': encodeFrame('CLOSE', { s, u: new Uint8Array(513) }),
    'an empty receipt': encodeFrame('RECEIPT', { r: new Uint8Array(0) }),
    'an unknown code': encodeFrame('ERROR', { c: 'TIRED', j: 0 }),
    'a wait beyond ten minutes': encodeFrame('REFUSE', { c: 'BUSY', a: 600_001 }),
  };
  for (const [what, parts] of Object.entries(bad)) {
    it(`refuses ${what}`, () => assert.equal(decodeMessage(concatBytes(...parts)).ok, false));
  }

  it('shows junk in a stream as malformed and goes on', async () => {
    async function* frames() {
      yield Uint8Array.of(1);
      yield bytesOf({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
    }
    const all = await Array.fromAsync(decodeMessages(frames()));
    assert.deepEqual(all, ['malformed', { type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) }]);
  });
});

describe('wire: session ids', () => {
  it('bind the client: another one has another session under the same salt', () => {
    const [alice, bob] = PEERS as [PeerId, PeerId];
    assert.equal(sessionIdOf(alice, SALT), sessionIdOf(alice, SALT));
    assert.notEqual(sessionIdOf(alice, SALT), sessionIdOf(bob, SALT));
    assert.notEqual(sessionIdOf(alice, SALT), sessionIdOf(alice, 'ee'.repeat(16) as SessionSalt));
    assert.match(sessionIdOf(alice, SALT), /^[0-9a-f]{32}$/);
  });
});

describe('wire: the body of OPEN', () => {
  const route = PEERS.map((peer, i) => ({ peer, from: i as ShardIndex, to: (i + 1) as ShardIndex }));
  const body: OpenBody = { salt: SALT, manifest: 'ab'.repeat(32), codec: 'f16', maxTokens: 9, route, hop: 1 };

  it('comes back as it went, sampling at the last hop alone', () => {
    const asking = { ...body, hop: 2, sampling: { ...SAMPLING, alternatives: 20 } };
    for (const one of [body, { ...body, hop: 2, sampling: SAMPLING }, asking]) {
      const decoded = decodeOpen(encodeOpen(one));
      assert.deepEqual(decoded, { ok: true, value: one });
    }
    assert.deepEqual(decodeOpen(encodeOpen({ ...body, hop: 2 })), { ok: true, value: { ...body, hop: 2 } }); // stateless
    assert.equal(decodeOpen(encodeOpen({ ...body, sampling: SAMPLING })).ok, false);
  });

  const first = [peerToBytes(PEERS[0] ?? body.route[0]?.peer ?? ('' as never)), 0, 1] as const;
  const bad: Record<string, { readonly [key: string]: Cbor }> = {
    'a route that begins later': { r: [[first[0], 1, 2]], j: 0 },
    'a route with a gap': { r: [first, [first[0], 2, 3]] },
    'an empty run': { r: [first, [first[0], 1, 1]] },
    'no route': { r: [] },
    'too many hops': { r: Array.from({ length: MAX_ROUTE_HOPS + 1 }, (_, i) => [first[0], i, i + 1]) },
    'a hop beyond the route': { j: 3 },
    'a peer that is none': { r: [[new Uint8Array(38), 0, 1], first] },
    'no positions': { n: 0 },
    'a codec that nobody has': { c: 'int8' },
    'another version': { v: 2 },
    'half a sampling': { p: [1, 2] },
    'a temperature beyond reason': { j: 2, p: [100_000_001, 0, 1_000_000, 0, 0] },
    'an empty nucleus': { j: 2, p: [0, 0, 0, 0, 0] },
    'too many alternatives': { j: 2, p: [0, 0, 1_000_000, 0, 21] },
    'a key more': { extra: 1 },
  };
  for (const [what, changes] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      const plain = decodeCbor(encodeOpen(body)) as { readonly [key: string]: Cbor };
      assert.equal(decodeOpen(encodeCbor(plain)).ok, true);
      assert.equal(decodeOpen(encodeCbor({ ...plain, ...changes })).ok, false);
    });
  }

  it('rounds sampling once and for all', () => {
    const rounded = roundSampling({ temperature: 1 / 3, topK: 5, topP: 2 / 3, seed: 7n });
    assert.deepEqual(rounded, { temperature: 0.333333, topK: 5, topP: 0.666667, seed: 7n });
    assert.deepEqual(roundSampling(rounded), rounded);
    for (const wrong of [{ temperature: -1 }, { topP: 1.1 }, { topP: 0 }, { seed: -1n }, { temperature: Number.NaN }]) {
      assert.throws(() => roundSampling({ ...SAMPLING, ...wrong }));
    }
  });
});
