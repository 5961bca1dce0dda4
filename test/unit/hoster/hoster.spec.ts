import assert from 'node:assert/strict';
import { EngineError } from '../../../src/engine/types.ts';
import type { FrameStream } from '../../../src/p2p/types.ts';
import type { BlockNumber, PeerId, ShardIndex } from '../../../src/types/ids.ts';
import { concatBytes } from '../../../src/util/bytes.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import { decodeAnnounce } from '../../../src/wire/announce.ts';
import { signRequest } from '../../../src/wire/envelope.ts';
import { MAX_FRAME_BYTES } from '../../../src/wire/frame.ts';
import {
  decodeMessage,
  encodeMessage,
  encodeOpen,
  INFER_PROTOCOL,
  type InferMessage,
  OPEN_METHOD,
  type OpenBody,
  type SessionId,
  type SessionSalt,
  type Step,
  sessionIdOf,
} from '../../../src/wire/infer.ts';
import { idsToBytes, rowsToBytes } from '../../../src/wire/tensor.ts';
import {
  collect,
  GENESIS,
  GREEDY,
  identityOf,
  MODEL,
  type Net,
  type NetOptions,
  promptOf,
  SUBNET,
  startNet,
} from '../client/net.ts';

const never = new AbortController().signal;
const SALT = '0f'.repeat(16) as SessionSalt;
/** Of the client of `startNet`. */
const SESSION = sessionIdOf(identityOf(200).peer, SALT);
const GREEDY_SAMPLING = { temperature: 0, topK: 0, topP: 1, seed: 0n };

/** A stream whose answers are read one by one. */
interface Talk {
  readonly stream: FrameStream;
  say(...messages: readonly InferMessage[]): Promise<void>;
  /** The next answer; 'end' when the stream ended or broke. */
  hear(): Promise<InferMessage | 'end'>;
}

async function talk(net: Net, i = 0, overlay = net.overlay): Promise<Talk> {
  const peer = net.hosters[i]?.peer as PeerId;
  const stream = await overlay.openStream(peer, INFER_PROTOCOL, { maxFrameBytes: MAX_FRAME_BYTES, signal: never });
  const frames = stream.frames()[Symbol.asyncIterator]();
  return {
    stream,
    async say(...messages) {
      for (const message of messages) await stream.send(encodeMessage(message));
    },
    async hear() {
      const next = await frames.next().catch(() => undefined);
      if (next === undefined || next.done === true) return 'end';
      const message = decodeMessage(next.value);
      assert.ok(message.ok);
      return message.value;
    },
  };
}

/** Hoster 0 serves [1, 4), hoster 1 serves 0 and [2, 4): a route of two. */
function bodyOf(net: Net, hop: number, changes: Partial<OpenBody> = {}): OpenBody {
  const [a, b] = [net.hosters[1]?.peer, net.hosters[0]?.peer] as [PeerId, PeerId];
  const route = [
    { peer: a, from: 0 as ShardIndex, to: 1 as ShardIndex },
    { peer: b, from: 1 as ShardIndex, to: 4 as ShardIndex },
  ];
  const sampling = hop === 1 ? { sampling: GREEDY_SAMPLING } : {};
  return { salt: SALT, manifest: MODEL.hash, codec: 'f16', maxTokens: 20, route, hop, ...sampling, ...changes };
}

function openOf(
  net: Net,
  body: OpenBody,
  changes: { to?: PeerId; issuedAt?: number; identity?: number } = {},
): InferMessage {
  const identity = changes.identity === undefined ? net.identity : identityOf(changes.identity);
  const facts = {
    protocol: INFER_PROTOCOL,
    method: OPEN_METHOD,
    from: identity.peer,
    to: changes.to ?? (body.route[body.hop]?.peer as PeerId),
    issuedAt: (changes.issuedAt ?? 100) as BlockNumber,
    body: encodeOpen(body),
  };
  return { type: 'OPEN', request: signRequest(facts, identity.sign) };
}

function stepOf(changes: Partial<Step> = {}): Step {
  const tensor = idsToBytes([1, 2, 3]);
  return {
    type: 'STEP',
    session: SESSION,
    hop: 0,
    position: 0,
    count: 3,
    codec: 'ids',
    draw: true,
    spentUs: Array.from({ length: changes.hop ?? 0 }, () => 1),
    tensor,
    ...changes,
  };
}

/** Opens both hops of the route of two. */
async function openBoth(net: Net): Promise<{ first: Talk; last: Talk }> {
  const [first, last] = [await talk(net, 1), await talk(net, 0)];
  await first.say(openOf(net, bodyOf(net, 0)));
  await last.say(openOf(net, bodyOf(net, 1)));
  assert.equal(typeOf(await first.hear()), 'ACCEPT');
  assert.equal(typeOf(await last.hear()), 'ACCEPT');
  return { first, last };
}

function typeOf(message: InferMessage | 'end'): string {
  return message === 'end' ? 'end' : message.type;
}

function codeOf(message: InferMessage | 'end'): string {
  return message !== 'end' && (message.type === 'REFUSE' || message.type === 'ERROR') ? message.code : typeOf(message);
}

async function within(options: NetOptions, story: (net: Net) => Promise<void>): Promise<void> {
  const net = await startNet(options);
  try {
    await story(net);
    assert.equal((await collect(net.client.generate(promptOf(5), { ...GREEDY, maxTokens: 2 }, never))).length, 2);
  } finally {
    await net.close();
  }
}

describe('hoster: who is let in', () => {
  const refusals: Record<string, [string, (net: Net) => InferMessage]> = {
    'another model': ['WRONG_MANIFEST', (net) => openOf(net, bodyOf(net, 1, { manifest: 'cd'.repeat(32) }))],
    'more positions than the context': ['TOO_LONG', (net) => openOf(net, bodyOf(net, 1, { maxTokens: 301 }))],
    'a request for somebody else': [
      'NOT_YOURS',
      (net) => openOf(net, bodyOf(net, 1), { to: net.hosters[2]?.peer as PeerId }),
    ],
    "somebody else's request": ['NOT_YOURS', (net) => openOf(net, bodyOf(net, 1), { identity: 9 })],
    'a place in the route that is not ours': [
      'NOT_YOURS',
      (net) => openOf(net, bodyOf(net, 0), { to: net.hosters[0]?.peer as PeerId }),
    ],
    'a request from long ago': ['EXPIRED', (net) => openOf(net, bodyOf(net, 1), { issuedAt: 79 })],
    'a request from the future': ['EXPIRED', (net) => openOf(net, bodyOf(net, 1), { issuedAt: 121 })],
    'no request at all': ['BAD_FRAME', () => ({ type: 'OPEN', request: encodeCbor({ v: 1 }) })],
    'a route that does not end the model': [
      'BAD_FRAME',
      (net) => {
        const peer = net.hosters[0]?.peer as PeerId;
        const route = [
          { peer, from: 0 as ShardIndex, to: 1 as ShardIndex },
          { peer, from: 1 as ShardIndex, to: 3 as ShardIndex },
        ];
        return openOf(net, bodyOf(net, 1, { route }));
      },
    ],
    'a shard that is not served': [
      'NOT_SERVED',
      (net) => {
        const route = [{ peer: net.hosters[0]?.peer as PeerId, from: 0 as ShardIndex, to: 4 as ShardIndex }];
        return openOf(net, bodyOf(net, 0, { route, sampling: GREEDY_SAMPLING }));
      },
    ],
  };
  for (const [what, [code, open]] of Object.entries(refusals)) {
    it(`refuses ${what}: ${code}`, () =>
      within({}, async (net) => {
        const client = await talk(net);
        await client.say(open(net));
        const answer = await client.hear();
        assert.equal(typeOf(answer), 'REFUSE');
        assert.equal(codeOf(answer), code);
        assert.equal(await client.hear(), 'end');
        assert.equal(net.hosters[0]?.engine.open.size, 0);
      }));
  }

  it('refuses a tampered request: NOT_YOURS', () =>
    within({}, async (net) => {
      const message = openOf(net, bodyOf(net, 1));
      assert.equal(message.type, 'OPEN');
      const request = message.type === 'OPEN' ? message.request.slice() : new Uint8Array();
      // CBOR [bytes, bytes(64), bytes]: a bit of the signature, which stands before the body of known length.
      const bodyLength = encodeOpen(bodyOf(net, 1)).length;
      const at = request.length - bodyLength - 20;
      request[at] = (request[at] ?? 0) ^ 1;
      const client = await talk(net);
      await client.say({ type: 'OPEN', request });
      assert.equal(codeOf(await client.hear()), 'NOT_YOURS');
    }));

  it('takes a request once: EXPIRED when it is replayed', () =>
    within({}, async (net) => {
      const open = openOf(net, bodyOf(net, 1));
      const first = await talk(net);
      await first.say(open);
      assert.equal(typeOf(await first.hear()), 'ACCEPT');
      const again = await talk(net);
      await again.say(open);
      assert.equal(codeOf(await again.hear()), 'EXPIRED');
    }));

  it('refuses whom the access policy excludes, after verification', async () => {
    const net = await startNet({ mayAsk: () => false });
    const client = await talk(net);
    await client.say(openOf(net, bodyOf(net, 1)));
    assert.equal(codeOf(await client.hear()), 'NOT_YOURS');
    await net.close();
  });

  it('a session id that is taken is refused', () =>
    within({}, async (net) => {
      await openBoth(net);
      const second = await talk(net);
      await second.say(openOf(net, bodyOf(net, 1)));
      assert.equal(codeOf(await second.hear()), 'NOT_YOURS');
    }));

  it('who learns a session id cannot take it from its owner: the id belongs to the client', () =>
    within({}, async (net) => {
      const thief = await talk(net, 0, net.hosters[1]?.overlay);
      await thief.say(openOf(net, bodyOf(net, 1), { identity: 1 }));
      const stolen = await thief.hear();
      assert.ok(stolen !== 'end' && stolen.type === 'ACCEPT');
      assert.notEqual(stolen.session, SESSION);
      const { first, last } = await openBoth(net);
      await first.say(stepOf());
      assert.equal(typeOf(await last.hear()), 'TOKENS');
    }));

  it('waits for a seat, and gets the one that is left', () =>
    within({ limits: { sessions: 1, reserved: 0, waitMs: 60_000 } }, async (net) => {
      const first = await talk(net);
      await first.say(openOf(net, bodyOf(net, 1)));
      assert.equal(typeOf(await first.hear()), 'ACCEPT');
      const other = await talk(net, 0, net.network.join(identityOf(99)));
      await other.say(openOf(net, bodyOf(net, 1), { identity: 99 }));
      await net.settle();
      assert.equal(net.hosters[0]?.hoster.stats().sessions, 1);
      await first.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
      assert.equal(typeOf(await other.hear()), 'ACCEPT');
      other.stream.abort(new Error('enough'));
      await net.settle();
    }));

  it('a client with stake is let in where strangers are not', async () => {
    const rich = identityOf(99).peer;
    const stakeOf = (peer: PeerId) => (peer === rich ? 5n : 0n);
    await within({ limits: { sessions: 3, reserved: 2, waitMs: 0 }, stakeOf }, async (net) => {
      const first = await talk(net);
      await first.say(openOf(net, bodyOf(net, 1)));
      assert.equal(typeOf(await first.hear()), 'ACCEPT');
      const stranger = await talk(net, 0, net.network.join(identityOf(98)));
      await stranger.say(openOf(net, bodyOf(net, 1), { identity: 98 }));
      assert.equal(codeOf(await stranger.hear()), 'BUSY');
      const staked = await talk(net, 0, net.network.join(identityOf(99)));
      await staked.say(openOf(net, bodyOf(net, 1), { identity: 99 }));
      assert.equal(typeOf(await staked.hear()), 'ACCEPT');
      await first.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
      staked.stream.abort(new Error('enough'));
      await net.settle();
    });
  });

  it('a peer has so many sessions and no more, and gets a seat back', () =>
    within({ limits: { sessionsPerPeer: 3 } }, async (net) => {
      const saltOf = (i: number) => `0${i}`.repeat(16) as SessionSalt;
      const talks: Talk[] = [];
      for (let i = 0; i < 4; i += 1) {
        const one = await talk(net);
        await one.say(openOf(net, bodyOf(net, 1, { salt: saltOf(i) })));
        const answer = await one.hear();
        assert.equal(codeOf(answer), i < 3 ? 'ACCEPT' : 'BUSY');
        if (answer !== 'end' && answer.type === 'REFUSE') assert.ok(answer.retryAfterMs > 0);
        talks.push(one);
      }
      await talks[0]?.say({
        type: 'CLOSE',
        session: sessionIdOf(net.identity.peer, saltOf(0)),
        usage: new Uint8Array(0),
      });
      assert.equal(await talks[0]?.hear(), 'end');
      await net.settle();
      assert.equal(net.hosters[0]?.hoster.stats().sessions, 2);
      talks[1]?.stream.abort(new Error('gone'));
      await net.settle();
      assert.equal(net.hosters[0]?.hoster.stats().sessions, 1);
      assert.equal(net.hosters[0]?.engine.open.size, 1);
    }));

  it('without memory for a session it says NO_BUDGET and about when so much will have come free', () =>
    within({}, async (net) => {
      const [hoster] = net.hosters;
      assert.ok(hoster);
      const saltOf = (i: number) => `0${i}`.repeat(16) as SessionSalt;
      const held = [await talk(net), await talk(net)];
      for (const [i, one] of held.entries()) {
        await one.say(openOf(net, bodyOf(net, 1, { salt: saltOf(i) })));
        assert.equal(typeOf(await one.hear()), 'ACCEPT');
      }
      /** The hint of a hoster whose engine has 20 bytes in use, 10 of each session, and lacks some. */
      const hintFor = async (i: number, refusal: EngineError): Promise<number> => {
        hoster.engine.refusal = refusal;
        const one = await talk(net);
        await one.say(openOf(net, bodyOf(net, 1, { salt: saltOf(i) })));
        const answer = await one.hear();
        assert.ok(answer !== 'end' && answer.type === 'REFUSE');
        assert.equal(answer.code, 'NO_BUDGET');
        assert.equal(await one.hear(), 'end');
        return answer.retryAfterMs;
      };
      const lacks = (bytes: number) =>
        new EngineError({ code: 'E_MEMORY', need: bytes + 5, free: 5, budget: 25 }, 'no memory');
      assert.equal(await hintFor(2, lacks(10)), 500, 'half of what is held, and none has ended: half a second of one');
      assert.equal(await hintFor(3, lacks(40)), 2_000);
      net.clock.ms += 8_000;
      const ended = { type: 'CLOSE', session: sessionIdOf(net.identity.peer, saltOf(0)), usage: new Uint8Array(0) };
      await held[0]?.say(ended as InferMessage);
      assert.equal(await held[0]?.hear(), 'end');
      await net.settle();
      assert.equal(await hintFor(4, lacks(5)), 4_000, 'half of what is held, and one lasted eight seconds');
      assert.equal(await hintFor(5, lacks(1_000)), 30_000, 'never longer');
      assert.equal(await hintFor(6, lacks(0)), 1, '0 would say that waiting does not help');
      assert.equal(hoster.hoster.stats().refused.NO_BUDGET, 5);
      assert.equal(hoster.hoster.stats().sessions, 1, 'a refused one keeps no seat');
      hoster.engine.refusal = undefined;
      held[1]?.stream.abort(new Error('enough'));
      await net.settle();
    }));

  it('a stranger that asks before it was told is soon heard no more, and moves nobody else back', () =>
    within({ limits: { sessions: 2, reserved: 1, waitMs: 0, hastyOpens: 3, hastyOpensPerSecond: 2 } }, async (net) => {
      const hoster = net.hosters[0]?.hoster;
      const refusal = async (identity: number, request?: Uint8Array) => {
        const one = await talk(net, 0, overlays.get(identity));
        const open = openOf(net, bodyOf(net, 1), { identity });
        await one.say(request === undefined ? open : { type: 'OPEN', request });
        const answer = await one.hear();
        assert.ok(answer !== 'end' && answer.type === 'REFUSE');
        assert.equal(await one.hear(), 'end');
        return [answer.code, answer.retryAfterMs] as const;
      };
      const overlays = new Map([98, 99].map((i) => [i, net.network.join(identityOf(i))]));
      const junk = encodeCbor({ v: 1 });
      const first = await talk(net);
      await first.say(openOf(net, bodyOf(net, 1)));
      assert.equal(typeOf(await first.hear()), 'ACCEPT');
      // Hints of a hoster in which no session has ended yet: one second behind the last that was told.
      assert.deepEqual(await refusal(99), ['BUSY', 1_000]);
      for (const hint of [2_000, 3_000, 4_000]) assert.deepEqual(await refusal(99), ['BUSY', hint]);
      for (let i = 0; i < 10; i += 1) assert.deepEqual(await refusal(99), ['BUSY', 500]);
      assert.deepEqual(await refusal(98), ['BUSY', 5_000], 'as if it had not asked ten times more');
      assert.equal(hoster?.stats().refused.BUSY, 15);
      await first.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
      assert.equal(await first.hear(), 'end');
      await net.settle();
      assert.deepEqual(await refusal(99, junk), ['BUSY', 500], 'nothing of what it asks is read');
      net.clock.ms += 500;
      assert.deepEqual(await refusal(99, junk), ['BAD_FRAME', 0]);
      assert.deepEqual(await refusal(99, junk), ['BUSY', 500]);
      net.clock.ms += 1_000;
      const heard = await talk(net, 0, overlays.get(99));
      await heard.say(openOf(net, bodyOf(net, 1), { identity: 99 }));
      assert.equal(typeOf(await heard.hear()), 'ACCEPT', 'a seat is there, and it has waited');
      heard.stream.abort(new Error('enough'));
      await net.settle();
    }));

  it('a client with stake is heard however often it asks', async () => {
    const rich = identityOf(200).peer;
    const limits = { hastyOpens: 1, hastyOpensPerSecond: 1 };
    await within({ limits, stakeOf: (peer) => (peer === rich ? 5n : 0n) }, async (net) => {
      for (let i = 0; i < 5; i += 1) {
        const one = await talk(net);
        await one.say({ type: 'OPEN', request: encodeCbor({ v: 1 }) });
        assert.equal(codeOf(await one.hear()), 'BAD_FRAME');
      }
    });
  });

  it('all peers together have so many sessions and no more', () =>
    within({ limits: { sessions: 1, reserved: 0, waitMs: 0 } }, async (net) => {
      const first = await talk(net);
      await first.say(openOf(net, bodyOf(net, 1)));
      assert.equal(typeOf(await first.hear()), 'ACCEPT');
      const other = await talk(net, 0, net.network.join(identityOf(99)));
      const body = bodyOf(net, 1, { salt: 'ee'.repeat(16) as SessionSalt });
      await other.say(openOf(net, body, { identity: 99 }));
      assert.equal(codeOf(await other.hear()), 'BUSY');
      await first.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
      assert.equal(await first.hear(), 'end');
    }));

  it('a stream that says nothing is ended', () =>
    within({ limits: { firstFrameMs: 1 } }, async (net) => {
      const mute = await talk(net);
      assert.equal(await mute.hear(), 'end');
      assert.deepEqual(net.hosters[0]?.hoster.stats().refused, {});
    }));
});

describe('hoster: steps', () => {
  it('takes rows from the hop before and gives the token to the client', () =>
    within({}, async (net) => {
      const { first, last } = await openBoth(net);
      await first.say(stepOf());
      const tokens = await last.hear();
      assert.ok(tokens !== 'end' && tokens.type === 'TOKENS');
      assert.equal(tokens.position, 3);
      await first.say(stepOf({ position: 3, count: 1, tensor: idsToBytes([9]), draw: false }));
      await first.say(stepOf({ position: 4, count: 1, tensor: idsToBytes([9]) }));
      const next = await last.hear();
      assert.ok(next !== 'end' && next.type === 'TOKENS' && next.position === 5, 'no token where none was asked for');
    }));

  it('a step may take rows back: the token is that of a session which never saw them', () =>
    within({}, async (net) => {
      const { first, last } = await openBoth(net);
      const one = (position: number, id: number) => stepOf({ position, count: 1, tensor: idsToBytes([id]) });
      await first.say(stepOf(), one(3, 9), one(4, 11));
      await last.hear();
      const right = await last.hear();
      const after = await last.hear();
      await first.say(one(3, 5), one(4, 6), one(3, 9), one(4, 11));
      await last.hear();
      await last.hear();
      assert.deepEqual([await last.hear(), await last.hear()], [right, after]);
    }));

  it('but only sixteen of them', () =>
    within({}, async (net) => {
      const { first } = await openBoth(net);
      await first.say(stepOf({ count: 19, tensor: idsToBytes(promptOf(19)), draw: false }));
      const back = { count: 1, tensor: idsToBytes([1]), draw: false };
      await first.say(stepOf({ ...back, position: 3 }));
      await first.say(stepOf({ ...back, position: 4, count: 16, tensor: idsToBytes(promptOf(16)) }));
      await first.say(stepOf({ ...back, position: 3 }));
      assert.equal(codeOf(await first.hear()), 'BAD_FRAME');
    }));

  const rows = rowsToBytes('f16', new Float32Array(3 * MODEL.width).fill(1));

  it('a step from the client to a later hop ends the session', () =>
    within({}, async (net) => {
      const { last } = await openBoth(net);
      await last.say(stepOf({ hop: 1, codec: 'f16', tensor: rows }));
      assert.deepEqual(await last.hear(), { type: 'ERROR', code: 'NOT_YOURS', hop: 1 });
      assert.equal(await last.hear(), 'end');
    }));

  it('a step from a stranger is turned away and harms nobody', () =>
    within({}, async (net) => {
      const { first, last } = await openBoth(net);
      const stranger = await talk(net, 0, net.network.join(identityOf(99)));
      await stranger.say(stepOf({ hop: 1, codec: 'f16', tensor: rows }));
      assert.equal(codeOf(await stranger.hear()), 'NOT_YOURS');
      assert.equal(await stranger.hear(), 'end');
      await first.say(stepOf());
      assert.equal(typeOf(await last.hear()), 'TOKENS');
    }));

  it('a second stream of the hop before is turned away', () =>
    within({}, async (net) => {
      const { first, last } = await openBoth(net);
      await first.say(stepOf());
      assert.equal(typeOf(await last.hear()), 'TOKENS');
      const second = await talk(net, 0, net.hosters[1]?.overlay);
      await second.say(stepOf({ hop: 1, position: 3, codec: 'f16', tensor: rows }));
      assert.equal(codeOf(await second.hear()), 'NOT_YOURS');
    }));

  it('steps of an unknown session: EXPIRED; of hop 0 from a hop: NOT_YOURS', () =>
    within({}, async (net) => {
      const unknown = await talk(net);
      await unknown.say(stepOf({ hop: 1, codec: 'f16', tensor: rows }));
      assert.equal(codeOf(await unknown.hear()), 'EXPIRED');
      await openBoth(net);
      const beside = await talk(net, 1);
      await beside.say(stepOf());
      assert.equal(codeOf(await beside.hear()), 'NOT_YOURS');
    }));

  const badSteps: Record<string, [string, Partial<Step>]> = {
    'a position ahead': ['BAD_FRAME', { position: 1 }],
    'more rows than were reserved': ['TOO_LONG', { count: 21, tensor: idsToBytes(promptOf(21)) }],
    'too few bytes': ['BAD_FRAME', { count: 4 }],
    'a token beyond the vocabulary': ['BAD_FRAME', { tensor: idsToBytes([1, 2, MODEL.vocab]) }],
    'hidden rows where tokens belong': ['BAD_FRAME', { codec: 'f16', tensor: rows }],
    'another session': ['BAD_FRAME', { session: 'ee'.repeat(16) as SessionId }],
    'another hop': ['BAD_FRAME', { hop: 1 }],
  };
  for (const [what, [code, changes]] of Object.entries(badSteps)) {
    it(`from the client: ${what} is ${code}`, () =>
      within({}, async (net) => {
        const { first } = await openBoth(net);
        await first.say(stepOf(changes));
        assert.equal(codeOf(await first.hear()), code);
        assert.equal(await first.hear(), 'end');
        await net.settle();
        assert.equal(net.hosters[1]?.engine.open.size, 0);
      }));
  }

  const badRows: Record<string, Partial<Step>> = {
    'a position ahead': { position: 1 },
    'another codec': { codec: 'f32', tensor: rowsToBytes('f32', new Float32Array(3 * MODEL.width)) },
    'too many bytes': { tensor: concatBytes(rows, rows) },
    'a value that is not finite': { tensor: rowsToBytes('f16', new Float32Array(3 * MODEL.width).fill(Number.NaN)) },
  };
  for (const [what, changes] of Object.entries(badRows)) {
    it(`from the hop before: ${what} is told to the client and blamed on that hop`, () =>
      within({}, async (net) => {
        const { last } = await openBoth(net);
        const hop = await talk(net, 0, net.hosters[1]?.overlay);
        await hop.say(stepOf({ hop: 1, codec: 'f16', tensor: rows, ...changes }));
        assert.deepEqual(await last.hear(), { type: 'ERROR', code: 'BAD_FRAME', hop: 0 });
        assert.equal(await last.hear(), 'end');
        assert.equal(await hop.hear(), 'end');
        assert.equal(net.hosters[0]?.engine.open.size, 0);
      }));
  }

  it('tells the client when the next hop does not know the session', () =>
    within({}, async (net) => {
      const first = await talk(net, 1);
      await first.say(openOf(net, bodyOf(net, 0)));
      assert.equal(typeOf(await first.hear()), 'ACCEPT');
      await first.say(stepOf());
      assert.deepEqual(await first.hear(), { type: 'ERROR', code: 'EXPIRED', hop: 1 });
      assert.equal(await first.hear(), 'end');
    }));

  it('tells the client when the next hop cannot be reached', () =>
    within({}, async (net) => {
      const { first } = await openBoth(net);
      net.network.kill(net.hosters[0]?.peer as PeerId);
      await first.say(stepOf());
      assert.deepEqual(await first.hear(), { type: 'ERROR', code: 'INTERNAL', hop: 1 });
    }));

  it('reads only a few steps ahead of a slow engine', () =>
    within({ limits: { queuedSteps: 2 } }, async (net) => {
      const { first, last } = await openBoth(net);
      const gate = Promise.withResolvers<void>();
      const engine = net.hosters[1]?.engine;
      assert.ok(engine);
      engine.beforeStep = () => gate.promise;
      const ids = { count: 1, tensor: idsToBytes([4]) };
      await first.say(
        ...Array.from({ length: 10 }, (_, position) => stepOf({ ...ids, position, draw: position === 9 })),
      );
      await first.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
      await net.settle();
      assert.equal(engine.open.size, 1, 'the CLOSE behind ten steps is not read yet');
      gate.resolve();
      await net.settle();
      assert.equal(engine.open.size, 0);
      assert.notEqual(await last.hear(), 'end');
    }));

  it('an idle session is freed', () =>
    within({ limits: { idleMs: 1_000 } }, async (net) => {
      const { first } = await openBoth(net);
      net.clock.ms = 900;
      await first.say(stepOf());
      await net.settle();
      net.clock.ms = 1_800;
      await net.runTo(101);
      assert.deepEqual(
        net.hosters.map(({ engine }) => engine.open.size),
        [1, 1, 0, 0],
      );
      net.clock.ms = 2_000;
      await net.runTo(102);
      assert.deepEqual(
        net.hosters.map(({ engine }) => engine.open.size),
        [0, 0, 0, 0],
      );
      assert.equal(codeOf(await first.hear()), 'EXPIRED');
    }));

  it('does not compute the open challenge for others', () => {
    const ids = Int32Array.from([7, 8, 9, 10, 11]);
    const openChallenge = (shard: ShardIndex) => (shard === 0 ? ({ kind: 'tokens', ids } as const) : undefined);
    return within({ openChallenge }, async (net) => {
      const { first } = await openBoth(net);
      await first.say(stepOf({ count: 2, tensor: idsToBytes([7, 8]), draw: false }));
      await first.say(stepOf({ position: 2, count: 2, tensor: idsToBytes([9, 10]) }));
      assert.equal(codeOf(await first.hear()), 'CHALLENGE_INPUT');
    });
  });
});

describe('hoster: junk', () => {
  const junk: Record<string, Uint8Array> = {
    empty: new Uint8Array(0),
    'one byte': Uint8Array.of(4),
    'unknown type': Uint8Array.of(77, 0, 0),
    'a header longer than the frame': Uint8Array.of(4, 0xff, 0xff, 1),
    'no CBOR': Uint8Array.of(4, 2, 0, 0xff, 0xff),
    'a map of the wrong keys': concatBytes(Uint8Array.of(8, 4, 0), encodeCbor({ x: 1 }), Uint8Array.of(0)),
    'random bytes': Uint8Array.from({ length: 400 }, (_, i) => (i * 131 + 17) % 256),
  };
  for (const [what, bytes] of Object.entries(junk)) {
    it(`${what}: as first frame, in a session, from the hop before`, () =>
      within({}, async (net) => {
        const fresh = await talk(net);
        await fresh.stream.send([bytes]);
        assert.equal(codeOf(await fresh.hear()), 'BAD_FRAME');
        assert.equal(await fresh.hear(), 'end');

        const { first, last } = await openBoth(net);
        await first.say(stepOf());
        assert.equal(typeOf(await last.hear()), 'TOKENS');
        await first.stream.send([bytes]);
        assert.equal(codeOf(await first.hear()), 'BAD_FRAME');
        await last.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
        await net.settle();

        const again = await openBoth(net);
        const hop = await talk(net, 0, net.hosters[1]?.overlay);
        await hop.say(
          stepOf({ hop: 1, codec: 'f16', tensor: rowsToBytes('f16', new Float32Array(24).fill(1)), draw: false }),
        );
        await hop.stream.send([bytes]);
        assert.deepEqual(await again.last.hear(), { type: 'ERROR', code: 'BAD_FRAME', hop: 0 });
        await net.settle();
        assert.equal(net.hosters[0]?.engine.open.size, 0);
      }));
  }

  it('a frame that no step of this model needs breaks the stream off', () =>
    within({}, async (net) => {
      const longest = 3 + 0xffff + 256 * MODEL.width * 4;
      const fits = await talk(net);
      await fits.stream.send([new Uint8Array(longest)]);
      assert.equal(codeOf(await fits.hear()), 'BAD_FRAME');
      const long = await talk(net);
      long.stream.send([new Uint8Array(longest + 1)]).catch(() => undefined);
      assert.equal(await long.hear(), 'end');
    }));

  it('messages that nobody should send first', () =>
    within({}, async (net) => {
      for (const message of [
        { type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) },
        { type: 'ACCEPT', session: SESSION, tokensGranted: 1 },
        { type: 'ERROR', code: 'BUSY', hop: 0 },
        { type: 'TOKENS', session: SESSION, position: 0, tokens: [{ id: 1, logprob: 0 }], spentUs: [] },
      ] as const) {
        const one = await talk(net);
        await one.say(message);
        assert.equal(codeOf(await one.hear()), 'BAD_FRAME');
      }
      assert.equal(net.hosters[0]?.hoster.stats().refused.BAD_FRAME, 4);
    }));
});

describe('hoster: announces', () => {
  it('renews its offer every 5 blocks', () =>
    within({}, async (net) => {
      const blocks = () => net.directory.offers().map((offer) => offer.block);
      assert.deepEqual(blocks(), [100, 100, 100, 100]);
      await net.runTo(104);
      assert.deepEqual(blocks(), [100, 100, 100, 100]);
      await net.runTo(105);
      assert.deepEqual(blocks(), [105, 105, 105, 105]);
    }));

  it('says it again at the next head while nobody hears it', () =>
    within({}, async (net) => {
      net.network.partition([]);
      await net.runTo(105);
      net.network.heal();
      assert.deepEqual(new Set(net.directory.offers().map((offer) => offer.block)), new Set([100]));
      await net.runTo(106);
      assert.deepEqual(new Set(net.directory.offers().map((offer) => offer.block)), new Set([106]));
    }));

  it('says how busy, how fast and how full it is', () =>
    within({}, async (net) => {
      const { first, last } = await openBoth(net);
      for (const { engine } of net.hosters) {
        engine.beforeStep = () => {
          net.clock.ms += 100;
        };
      }
      await first.say(stepOf({ count: 1, tensor: idsToBytes([1]) }));
      assert.equal(typeOf(await last.hear()), 'TOKENS');
      net.clock.ms += 800;
      await net.runTo(105);
      const announced = net.directory.records().map((bytes) => {
        const decoded = decodeAnnounce(bytes, { genesis: GENESIS, subnet: SUBNET, head: 105 as BlockNumber });
        assert.ok(decoded.ok);
        const { load, rowsPerSecond, freePositions, memoryMiB } = decoded.record.body;
        return [load, rowsPerSecond, freePositions, memoryMiB];
      });
      // One session takes 10 of 10,000 bytes; a row through three shards, and one through one, in a tenth of a second each.
      assert.deepEqual(announced, [
        [100, 30, 9_990, 64],
        [100, 10, 9_990, 64],
        [0, 0, 10_000, 64],
        [0, 0, 10_000, 64],
      ]);
      assert.deepEqual(
        net.directory.offers().map(({ load, rowsPerSecond, freePositions }) => [load, rowsPerSecond, freePositions]),
        announced.map((one) => one.slice(0, 3)),
      );
    }));

  it('tells what each hop spent', () =>
    within({}, async (net) => {
      const { first, last } = await openBoth(net);
      for (const [i, ms] of [70, 40].entries()) {
        const engine = net.hosters[i]?.engine;
        assert.ok(engine);
        engine.beforeStep = () => {
          net.clock.ms += ms;
        };
      }
      await first.say(stepOf());
      const tokens = await last.hear();
      assert.ok(tokens !== 'end' && tokens.type === 'TOKENS');
      assert.deepEqual(tokens.spentUs, [40_000, 70_000]);
    }));

  it('a hoster that is gone is forgotten when its announce expires', () =>
    within({}, async (net) => {
      net.network.kill(net.hosters[3]?.peer as PeerId);
      await net.runTo(114);
      assert.equal(net.directory.offers().length, 4);
      await net.runTo(115);
      assert.equal(net.directory.offers().length, 3);
    }));

  it('a session that is being opened when it stops is freed too', async () => {
    const net = await startNet();
    const engine = net.hosters[0]?.engine;
    assert.ok(engine);
    const gate = Promise.withResolvers<void>();
    const openSession = engine.openSession.bind(engine);
    engine.openSession = async (...args) => {
      await gate.promise;
      return openSession(...args);
    };
    const client = await talk(net);
    await client.say(openOf(net, bodyOf(net, 1)));
    await net.settle();
    await net.hosters[0]?.stop();
    gate.resolve();
    assert.equal(codeOf(await client.hear()), 'BUSY');
    assert.equal(engine.open.size, 0);
    await net.close();
  });

  it('drains: finishes what it has, takes nothing new, and is gone from the directories a block later', async () => {
    const net = await startNet();
    const { first, last } = await openBoth(net);
    const node = net.hosters[0];
    assert.ok(node);
    let drained = false;
    const draining = node.hoster.drain(never).then(() => {
      drained = true;
    });
    await net.runTo(102);
    assert.equal(net.directory.offers().length, 3, 'its last announce lives one block');
    const late = await talk(net, 0);
    await late.say(openOf(net, bodyOf(net, 1, { salt: 'aa'.repeat(16) as SessionSalt })));
    assert.equal(codeOf(await late.hear()), 'BUSY');
    assert.equal(drained, false, 'a session is open');
    await first.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
    await last.say({ type: 'CLOSE', session: SESSION, usage: new Uint8Array(0) });
    await draining;
    assert.equal(node.engine.open.size, 0);
    await net.close();
  });

  it('drains no longer than it is given', async () => {
    const net = await startNet();
    await openBoth(net);
    await net.hosters[0]?.hoster.drain(AbortSignal.abort());
    await net.close();
  });

  it('stops with its signal and frees its sessions', async () => {
    const net = await startNet();
    const { last } = await openBoth(net);
    await net.hosters[0]?.stop();
    assert.equal(net.hosters[0]?.engine.open.size, 0);
    assert.equal(await last.hear(), 'end');
    await net.close();
  });
});
