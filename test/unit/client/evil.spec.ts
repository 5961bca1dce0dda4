import assert from 'node:assert/strict';
import { generateLocal } from '../../../src/client/local.ts';
import type { FrameStream } from '../../../src/p2p/types.ts';
import { decodeCbor } from '../../../src/util/cbor.ts';
import {
  decodeMessages,
  decodeOpen,
  encodeMessage,
  INFER_PROTOCOL,
  type InferMessage,
  type OpenBody,
  type SessionId,
  sessionIdOf,
} from '../../../src/wire/infer.ts';
import { collect, createFakeEngine, identityOf, MODEL, type NetOptions, promptOf, SAMPLED, startNet } from './net.ts';

const never = new AbortController().signal;
const PROMPT = promptOf(70);
const FIRST = PROMPT.length;

interface Stage {
  readonly session: SessionId;
  readonly positions: number;
  say(message: InferMessage): Promise<void>;
  junk(): Promise<void>;
  close(): Promise<void>;
}

/** What a hop does when it is opened; when it accepts, what it does then. */
type Evil = (stage: Stage) => Promise<void>;

const accept: Evil = ({ say, session, positions }) => say({ type: 'ACCEPT', session, tokensGranted: positions });
const OTHER = 'ee'.repeat(16) as SessionId;

const WHEN_OPENED: Record<string, Evil> = {
  'says nothing and closes': ({ close }) => close(),
  'breaks off': async () => {
    throw new Error('evil');
  },
  'sends junk': ({ junk }) => junk(),
  'accepts another session': ({ say, positions }) => say({ type: 'ACCEPT', session: OTHER, tokensGranted: positions }),
  'grants less': ({ say, session, positions }) => say({ type: 'ACCEPT', session, tokensGranted: positions - 1 }),
  'answers with tokens': ({ say, session }) =>
    say({ type: 'TOKENS', session, position: FIRST, tokens: [{ id: 1, logprob: -1 }], spentUs: [1, 1] }),
  refuses: ({ say }) => say({ type: 'REFUSE', code: 'BUSY', retryAfterMs: 1 }),
  'says an error': ({ say }) => say({ type: 'ERROR', code: 'INTERNAL', hop: 0 }),
};

const tokensAt = (position: number, ids: readonly number[]) => (stage: Stage) =>
  stage.say({
    type: 'TOKENS',
    session: stage.session,
    position,
    tokens: ids.map((id) => ({ id, logprob: -1 })),
    spentUs: [1, 1],
  });

/** At the last hop, after ACCEPT. */
const WHEN_OPEN: Record<string, Evil> = {
  closes: ({ close }) => close(),
  'sends junk': ({ junk }) => junk(),
  'accepts again': accept,
  'gives a token for an earlier position': tokensAt(FIRST - 1, [1]),
  'gives a token for a later position': tokensAt(FIRST + 1, [1]),
  'gives a token beyond the vocabulary': tokensAt(FIRST, [MODEL.vocab]),
  'gives two tokens': tokensAt(FIRST, [1, 2]),
  'gives a token of another session': ({ say }) =>
    say({ type: 'TOKENS', session: OTHER, position: FIRST, tokens: [{ id: 1, logprob: -1 }], spentUs: [1, 1] }),
  'says what one hop spent, of two': ({ say, session }) =>
    say({ type: 'TOKENS', session, position: FIRST, tokens: [{ id: 1, logprob: -1 }], spentUs: [1] }),
  'accuses itself': ({ say }) => say({ type: 'ERROR', code: 'INTERNAL', hop: 1 }),
  'accuses a hop that is no neighbour': ({ say }) => say({ type: 'ERROR', code: 'INTERNAL', hop: 5 }),
};

/** Plays the parts in turn, the ones after ACCEPT when rows have come, and then waits to be left. */
function createActor(evil: readonly Evil[]) {
  const rowsCame = Promise.withResolvers<void>();
  return async (stream: FrameStream): Promise<void> => {
    const messages = decodeMessages(stream.frames());
    const { value: first } = await messages.next();
    if (first !== undefined && first !== 'malformed' && first.type === 'STEP') rowsCame.resolve();
    else await act(stream, messages, readOpenOf(first));
    for await (const message of messages) if (message !== 'malformed' && message.type === 'STEP') rowsCame.resolve();
  };

  async function act(stream: FrameStream, messages: AsyncIterator<unknown>, open: OpenBody): Promise<void> {
    const stage: Stage = {
      session: sessionIdOf(stream.peer, open.salt),
      positions: open.maxTokens,
      say: (message) => stream.send(encodeMessage(message)),
      junk: () => stream.send([Uint8Array.of(9, 9, 9)]),
      close: () => stream.close(),
    };
    const [opening, then] = evil;
    await opening?.(stage);
    if (then === undefined) return;
    await (open.hop === 0 ? messages.next() : rowsCame.promise);
    await then(stage);
  }
}

/** The body of a signed OPEN, unchecked. */
function readOpenOf(message: unknown) {
  const { request } = message as InferMessage & { type: 'OPEN' };
  const [, , body] = decodeCbor(request) as readonly Uint8Array[];
  const open = decodeOpen(body ?? new Uint8Array());
  assert.ok(open.ok);
  return open.value;
}

/** A generation in which hoster `i` is evil: 0 stands at the last hop of the first route, 1 at the first. */
async function generateBeside(i: number, evil: readonly Evil[], options: NetOptions = {}) {
  const net = await startNet(options);
  const victim = net.hosters[i];
  assert.ok(victim);
  const admission = { maxFrameBytes: 1 << 20, maxStreamsPerPeer: 9, admit: () => true };
  const play = createActor(evil);
  await victim.overlay.handleStream(INFER_PROTOCOL, admission, (stream) => {
    return play(stream);
  });
  const generation = net.client.generate(PROMPT, SAMPLED, never);
  const tokens = await collect(generation);
  await net.settle();
  const left = net.hosters.filter((one) => one !== victim).map(({ engine }) => engine.open.size);
  await net.close();
  return { tokens, left, route: generation.route.map(({ peer }) => peer), evil: victim.peer };
}

describe('client: evil hops', () => {
  let expected: Awaited<ReturnType<typeof collect>>;
  before(async () => {
    expected = await collect(generateLocal(createFakeEngine(), MODEL, PROMPT, SAMPLED, never));
  });

  const stories = [
    ...Object.entries(WHEN_OPENED).flatMap(([what, evil]) =>
      [0, 1].map((i) => [`hoster ${i} when opened ${what}`, i, [evil]] as const),
    ),
    ...Object.entries(WHEN_OPEN).map(([what, evil]) => [`an open last hop ${what}`, 0, [accept, evil]] as const),
    ['an open first hop gives tokens', 1, [accept, tokensAt(FIRST, [1])]] as const,
  ];
  for (const [what, i, evil] of stories) {
    it(`${what}: the tokens stay, it is left out, nothing is left behind`, async () => {
      const result = await generateBeside(i, evil);
      assert.deepEqual(result.tokens, expected);
      assert.ok(!result.route.includes(result.evil));
      assert.deepEqual(result.left, [0, 0, 0]);
    });
  }

  it('a hop that accuses its honest neighbour gets that one left out once, and is avoided itself', async () => {
    const result = await generateBeside(0, [accept, ({ say }) => say({ type: 'ERROR', code: 'INTERNAL', hop: 0 })]);
    assert.deepEqual(result.tokens, expected);
    assert.ok(!result.route.includes(result.evil));
  });

  it('a hop that accuses one which is no neighbour is left out alone', async () => {
    const options = { hosters: 8, shardsOf: (i: number) => [i % 4] };
    const accuse: Evil = ({ say }) => say({ type: 'ERROR', code: 'INTERNAL', hop: 1 });
    const result = await generateBeside(3, [accept, accuse], options);
    assert.deepEqual(result.tokens, expected);
    assert.deepEqual(
      result.route,
      [0, 1, 2, 7].map((i) => identityOf(i).peer),
    );
  });
});
