// What every implementation of Overlay must do (network.md, protocol.md 4, 10, 14): run for the twin and for libp2p on loopback.

import assert from 'node:assert/strict';
import type { FrameStream, Overlay, ProtocolOptions, RecordRules, Verdict } from '../../src/p2p/types.ts';
import { MAX_GOSSIP_BYTES } from '../../src/p2p/types.ts';
import type { PeerId } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';

export interface TestNetwork {
  /** A new peer, connected to nobody. `discovers` false: it stays with whom it was connected to. */
  join(options?: { readonly records?: Partial<RecordRules>; readonly discovers?: boolean }): Promise<Overlay>;
  /** Ends a peer without a word to the others. */
  kill(overlay: Overlay): Promise<void>;
  close(): Promise<void>;
}

const LIMIT = 8 << 20;
/** Nothing here takes long; a hang fails with the name of its test. */
const DEADLINE_MS = 20_000;
const ECHO = '/test/echo/1';

const bytes = (...values: number[]) => Uint8Array.from(values);
const deadline = () => AbortSignal.timeout(DEADLINE_MS);
const anyone: ProtocolOptions = { maxFrameBytes: LIMIT, admit: () => true, maxStreamsPerPeer: 4 };
const asking = (maxFrameBytes = LIMIT) => ({ maxFrameBytes, signal: deadline() });
const echo = async (body: Uint8Array) => body;

export function testOverlay(name: string, createNetwork: () => Promise<TestNetwork>): void {
  describe(`overlay: ${name}`, () => {
    let network: TestNetwork;
    beforeEach(async () => {
      network = await createNetwork();
    });
    afterEach(() => network.close());

    async function pair(): Promise<[Overlay, Overlay]> {
      const a = await network.join();
      const b = await network.join();
      await a.connect(addressOf(b), deadline());
      return [a, b];
    }

    /** A long stream whose far end the test holds. */
    async function openPair(a: Overlay, b: Overlay, options = anyone): Promise<OpenPair> {
      const arrived = Promise.withResolvers<FrameStream>();
      const done = Promise.withResolvers<void>();
      await b.handleStream('/test/long/1', options, (stream) => {
        arrived.resolve(stream);
        return done.promise;
      });
      const near = await a.openStream(b.self, '/test/long/1', asking());
      return { near, far: await arrived.promise, end: done.resolve, fail: done.reject };
    }

    describe('peers', () => {
      it('connects by address and lists the peer on both sides', async () => {
        const [a, b] = await pair();
        assert.deepEqual(a.peers(), [b.self]);
        await until(() => b.peers().includes(a.self));
        assert.ok(a.addresses().every((address) => address.endsWith(`/p2p/${a.self}`)));
      });

      it('says PEER_UNREACHABLE for an address without a peer and for a peer nobody knows', async () => {
        const [a] = await pair();
        await rejectsWith('PEER_UNREACHABLE', a.connect('/ip4/127.0.0.1/tcp/1', deadline()));
        await rejectsWith('PEER_UNREACHABLE', a.request(STRANGER, ECHO, bytes(1), asking()));
      });

      it('forgets a peer that it disconnects', async () => {
        const [a, b] = await pair();
        await a.disconnect(b.self);
        await until(() => a.peers().length === 0 && b.peers().length === 0);
      });

      it('notices a dead peer: streams break off, it is no longer listed, requests fail', async () => {
        const [a, b] = await pair();
        const { near } = await openPair(a, b);
        const ended = rejectsWith('STREAM_RESET', collect(near));
        await network.kill(b);
        await ended;
        await until(() => a.peers().length === 0);
        await rejectsWith('PEER_UNREACHABLE', a.request(b.self, ECHO, bytes(1), asking()));
      });

      it('says OVERLAY_CLOSED after close', async () => {
        const [a, b] = await pair();
        await a.close();
        await a.close();
        await rejectsWith('OVERLAY_CLOSED', a.request(b.self, ECHO, bytes(1), asking()));
        await rejectsWith('OVERLAY_CLOSED', a.openStream(b.self, ECHO, asking()));
        await rejectsWith('OVERLAY_CLOSED', a.publish(TOPIC, bytes(1)));
        await rejectsWith('OVERLAY_CLOSED', a.putRecord('/tsr/hc/1', bytes(1), deadline()));
        await rejectsWith('OVERLAY_CLOSED', a.getRecord('/tsr/hc/1', deadline()));
        await rejectsWith('OVERLAY_CLOSED', a.connect(addressOf(b)));
      });
    });

    describe('requests', () => {
      it('carries the body there, the answer back, and says who asks', async () => {
        const [a, b] = await pair();
        let asker: PeerId | undefined;
        await b.handleRequest(ECHO, anyone, async (body, from) => {
          asker = from;
          return body.map((value) => value + 1);
        });
        assert.deepEqual(await a.request(b.self, ECHO, bytes(1, 2, 3), asking()), bytes(2, 3, 4));
        assert.equal(asker, a.self);
        assert.deepEqual(await a.request(b.self, ECHO, bytes(), asking()), bytes());
      });

      it('carries 4 MiB each way', async () => {
        const [a, b] = await pair();
        await b.handleRequest(ECHO, anyone, echo);
        const body = new Uint8Array(4 << 20).map((_, i) => i * 7);
        assert.ok(Buffer.from(await a.request(b.self, ECHO, body, asking())).equals(body));
      });

      it('refuses an unknown protocol', async () => {
        const [a, b] = await pair();
        await rejectsWith('PEER_REFUSED', a.request(b.self, '/test/none/1', bytes(1), asking()));
      });

      it('asks for each stream whether the peer is admitted, and takes a question that fails for no', async () => {
        const [a, b] = await pair();
        let answer: () => boolean = () => false;
        const asked: PeerId[] = [];
        const admit = async (peer: PeerId) => {
          asked.push(peer);
          return answer();
        };
        await b.handleRequest(ECHO, { ...anyone, admit }, echo);
        await rejectsWith('PEER_REFUSED', a.request(b.self, ECHO, bytes(1), asking()));
        answer = () => {
          throw new Error('no roster yet');
        };
        await rejectsWith('PEER_REFUSED', a.request(b.self, ECHO, bytes(1), asking()));
        answer = () => true;
        assert.deepEqual(await a.request(b.self, ECHO, bytes(1), asking()), bytes(1));
        assert.deepEqual(asked, [a.self, a.self, a.self]);
      });

      it('counts who was refused and why', async () => {
        const [a, b] = await pair();
        const c = await network.join();
        await c.connect(addressOf(b), deadline());
        await b.handleRequest(ECHO, { ...anyone, maxFrameBytes: 100, admit: (peer) => peer === a.self }, echo);
        for (let i = 0; i < 2; i += 1) await rejectsWith('PEER_REFUSED', c.request(b.self, ECHO, bytes(1), asking()));
        await rejectsWith('STREAM_RESET', a.request(b.self, ECHO, new Uint8Array(101), asking()));
        assert.deepEqual(Object.fromEntries(b.refusals()), {
          [c.self]: { NOT_ADMITTED: 2 },
          [a.self]: { FRAME_TOO_LARGE: 1 },
        });
        await b.handleRequest(ECHO, anyone, async () => new Uint8Array(101));
        await rejectsWith('FRAME_TOO_LARGE', a.request(b.self, ECHO, bytes(1), asking(100)));
        assert.deepEqual(Object.fromEntries(a.refusals()), { [b.self]: { FRAME_TOO_LARGE: 1 } });
      });

      it('breaks off when the handler throws, and serves the next one', async () => {
        const [a, b] = await pair();
        await b.handleRequest(ECHO, anyone, async (body) => {
          if (body[0] === 0) throw new Error('not this one');
          return body;
        });
        await rejectsWith('STREAM_RESET', a.request(b.self, ECHO, bytes(0), asking()));
        assert.deepEqual(await a.request(b.self, ECHO, bytes(1), asking()), bytes(1));
      });

      it('serves a protocol by its last handler', async () => {
        const [a, b] = await pair();
        await b.handleRequest(ECHO, { ...anyone, admit: () => false }, echo);
        await b.handleRequest(ECHO, anyone, async () => bytes(2));
        assert.deepEqual(await a.request(b.self, ECHO, bytes(1), asking()), bytes(2));
      });

      it('holds both sides to their own limit of a frame', async () => {
        const [a, b] = await pair();
        let served = 0;
        await b.handleRequest(ECHO, { ...anyone, maxFrameBytes: 1000 }, async (body) => {
          served += 1;
          return body;
        });
        await rejectsWith('FRAME_TOO_LARGE', a.request(b.self, ECHO, new Uint8Array(2000), asking(1999)));
        await rejectsWith('STREAM_RESET', a.request(b.self, ECHO, new Uint8Array(1001), asking()));
        assert.equal(served, 0);
        assert.equal((await a.request(b.self, ECHO, new Uint8Array(1000), asking())).length, 1000);
      });

      it('refuses an answer that is longer than the asker takes', async () => {
        const [a, b] = await pair();
        await b.handleRequest(ECHO, anyone, async () => new Uint8Array(101));
        await rejectsWith('FRAME_TOO_LARGE', a.request(b.self, ECHO, bytes(1), asking(100)));
      });

      it('ends with the reason of its signal and tells the handler', async () => {
        const [a, b] = await pair();
        const started = Promise.withResolvers<AbortSignal>();
        await b.handleRequest(ECHO, anyone, (_body, _from, signal) => {
          started.resolve(signal);
          return new Promise(() => undefined);
        });
        const stop = new AbortController();
        const asked = a.request(b.self, ECHO, bytes(1), { maxFrameBytes: LIMIT, signal: stop.signal });
        const handlerSignal = await started.promise;
        assert.equal(handlerSignal.aborted, false);
        stop.abort(new Error('changed my mind'));
        await assert.rejects(asked, /changed my mind/);
        await until(() => handlerSignal.aborted);
      });

      it('does not begin with a signal that has aborted', async () => {
        const [a, b] = await pair();
        let served = 0;
        await b.handleRequest(ECHO, anyone, async (body) => {
          served += 1;
          return body;
        });
        const options = { maxFrameBytes: LIMIT, signal: AbortSignal.abort(new Error('never')) };
        await assert.rejects(a.request(b.self, ECHO, bytes(1), options), /never/);
        assert.equal(served, 0);
      });
    });

    describe('streams', () => {
      it('carries frames in order in both directions, empty ones and ones of several parts included', async () => {
        const [a, b] = await pair();
        const { near, far } = await openPair(a, b);
        assert.equal(near.peer, b.self);
        assert.equal(far.peer, a.self);
        await near.send([bytes(1), bytes(2, 3)]);
        await near.send([]);
        await near.send([bytes(4)]);
        await near.close();
        assert.deepEqual(await collect(far), [bytes(1, 2, 3), bytes(), bytes(4)]);
        await far.send([bytes(9)]);
        await far.close();
        assert.deepEqual(await collect(near), [bytes(9)]);
      });

      it('keeps unread frames when a loop is left', async () => {
        const [a, b] = await pair();
        const { near, far } = await openPair(a, b);
        await near.send([bytes(1)]);
        await near.send([bytes(2)]);
        assert.deepEqual(await first(far), bytes(1));
        assert.deepEqual(await first(far), bytes(2));
      });

      it('refuses to send after close', async () => {
        const [a, b] = await pair();
        const { near } = await openPair(a, b);
        await near.close();
        await rejectsWith('STREAM_RESET', near.send([bytes(1)]));
      });

      it('makes a sender wait while nobody reads, and go on when somebody does', async () => {
        const [a, b] = await pair();
        const { near, far } = await openPair(a, b);
        const total = 400;
        let sent = 0;
        const sending = (async () => {
          for (; sent < total; sent += 1) await near.send([new Uint8Array(256 << 10).fill(sent)]);
          await near.close();
        })();
        await standsStill(() => sent);
        assert.ok(sent < 64, `${sent} frames of 256 KiB went to nobody`);
        let seen = 0;
        for await (const frame of far.frames()) {
          assert.equal(frame[0], seen % 256);
          seen += 1;
        }
        await sending;
        assert.equal(seen, total);
      });

      it('lets a waiting sender go when its signal aborts', async () => {
        const [a, b] = await pair();
        const { near } = await openPair(a, b);
        const stop = new AbortController();
        let sent = 0;
        const sending = (async () => {
          for (;;) {
            await near.send([new Uint8Array(256 << 10)], stop.signal);
            sent += 1;
          }
        })();
        const ended = assert.rejects(sending, /enough/);
        await standsStill(() => sent);
        stop.abort(new Error('enough'));
        await ended;
      });

      it('breaks off both directions on abort: the reason here, STREAM_RESET there', async () => {
        const [a, b] = await pair();
        const { near, far } = await openPair(a, b);
        const ended = assert.rejects(collect(near), /lost interest/);
        near.abort(new Error('lost interest'));
        await ended;
        await assert.rejects(near.send([bytes(1)]), /lost interest/);
        await rejectsWith('STREAM_RESET', collect(far));
        await rejectsWith('STREAM_RESET', far.send([bytes(1)]));
      });

      it('wakes a waiting sender when the other side breaks off', async () => {
        const [a, b] = await pair();
        const { near, far } = await openPair(a, b);
        let sent = 0;
        const sending = (async () => {
          for (;;) {
            await near.send([new Uint8Array(256 << 10)]);
            sent += 1;
          }
        })();
        const ended = rejectsWith('STREAM_RESET', sending);
        await standsStill(() => sent);
        far.abort(new Error('too much'));
        await ended;
      });

      it('breaks off when a frame is over the reader limit', async () => {
        const [a, b] = await pair();
        const { near, far } = await openPair(a, b, { ...anyone, maxFrameBytes: 100 });
        const refused = rejectsWith('FRAME_TOO_LARGE', collect(far));
        near.send([new Uint8Array(101)]).catch(() => undefined);
        await refused;
        await rejectsWith('STREAM_RESET', collect(near));
      });

      it('ends with its handler: closed when that returns, broken off when that throws', async () => {
        const [a, b] = await pair();
        const good = await openPair(a, b);
        await good.far.send([bytes(1)]);
        good.end();
        assert.deepEqual(await collect(good.near), [bytes(1)]);
        await good.near.close();
        await b.handleStream('/test/bad/1', anyone, async () => {
          throw new Error('bad handler');
        });
        await rejectsWith('STREAM_RESET', a.openStream(b.self, '/test/bad/1', asking()).then(collect));
      });

      it('delivers what a handler sends before it returns without ever reading', async () => {
        const [a, b] = await pair();
        await b.handleStream('/test/push/1', anyone, (stream) => stream.send([bytes(1, 2)]));
        for (let i = 0; i < 20; i += 1) {
          const stream = await a.openStream(b.self, '/test/push/1', asking());
          assert.deepEqual(await collect(stream), [bytes(1, 2)]);
          await stream.close();
        }
      });

      it('admits so many streams of a peer at a time, and more when some have ended', async () => {
        const [a, b] = await pair();
        const handler = async (stream: FrameStream) => void (await collect(stream));
        await b.handleStream('/test/few/1', { ...anyone, maxStreamsPerPeer: 2 }, handler);
        const open = () => a.openStream(b.self, '/test/few/1', asking());
        const one = await open();
        await open();
        await rejectsWith('PEER_REFUSED', open());
        await one.close();
        await until(async () => (await codeOf(open())) === undefined);
        assert.ok((b.refusals().get(a.self)?.TOO_MANY_STREAMS ?? 0) > 0);
      });
    });

    describe('gossip', () => {
      const hear = (overlay: Overlay, verdict: Verdict | (() => never) = 'accept') => {
        const heard: { message: Uint8Array; from: PeerId }[] = [];
        overlay.subscribe(TOPIC, async (message, from) => {
          heard.push({ message, from });
          return typeof verdict === 'string' ? verdict : verdict();
        });
        return heard;
      };

      /** a - b - c, where a and c hear of each other only through b. */
      async function line(verdict: Verdict | (() => never)) {
        const a = await network.join({ discovers: false });
        const b = await network.join({ discovers: false });
        const c = await network.join({ discovers: false });
        const heard = { a: hear(a), b: hear(b, verdict), c: hear(c) };
        await a.connect(addressOf(b), deadline());
        await c.connect(addressOf(b), deadline());
        return { a, b, c, heard };
      }

      it('passes on what is accepted, with who passed it, and not back to the publisher', async () => {
        const { a, b, c, heard } = await line('accept');
        let n = 0;
        await until(async () => {
          assert.ok((await a.publish(TOPIC, bytes(1, n++))) <= 1);
          return heard.c.length > 0;
        });
        assert.equal(heard.b[0]?.from, a.self);
        assert.equal(heard.c[0]?.from, b.self);
        assert.equal(heard.c[0]?.message[0], 1);
        assert.equal(heard.a.length, 0);
        await until(async () => {
          await c.publish(TOPIC, bytes(2, n++));
          return heard.a.length > 0;
        });
      });

      for (const [what, verdict] of [
        ['ignored', 'ignore'],
        ['rejected', 'reject'],
        ['not judged', () => assert.fail('judge fails')],
      ] as const) {
        it(`does not pass on what is ${what}`, async () => {
          const { a, b, heard } = await line(verdict);
          await until(async () => {
            await a.publish(TOPIC, bytes(1));
            return heard.b.length > 0 && b.peers().length === 2;
          });
          // What b says itself reaches c after anything it would have passed on.
          let n = 0;
          await until(async () => {
            await b.publish(TOPIC, bytes(7, n++));
            return heard.c.length > 0;
          });
          assert.ok(heard.c.every(({ message }) => message[0] === 7));
          assert.equal(heard.b.length, 1);
          assert.equal(b.refusals().get(a.self)?.MESSAGE_REJECTED, verdict === 'reject' ? 1 : undefined);
        });
      }

      it('is one message when several publish the same, and can be sent again when nobody heard it', async () => {
        const a = await network.join({ discovers: false });
        const b = await network.join({ discovers: false });
        assert.equal(await a.publish(TOPIC, bytes(5)), 0);
        const heard = { a: hear(a), b: hear(b) };
        await a.connect(addressOf(b), deadline());
        await until(async () => (await a.publish(TOPIC, bytes(5))) === 1);
        await until(() => heard.b.length > 0);
        assert.equal(await b.publish(TOPIC, bytes(5)), 0);
        await until(async () => (await b.publish(TOPIC, bytes(6))) === 1 || heard.a.length > 0);
        await until(() => heard.a.length > 0);
        assert.deepEqual(
          [heard.a, heard.b].map((all) => all.map(({ message }) => message[0])),
          [[6], [5]],
        );
      });

      it('answers 0 when nobody listens and refuses what is too large', async () => {
        const a = await network.join();
        assert.equal(await a.publish(TOPIC, bytes(1)), 0);
        await rejectsWith('FRAME_TOO_LARGE', a.publish(TOPIC, new Uint8Array(MAX_GOSSIP_BYTES + 1)));
      });
    });

    describe('providers', () => {
      const CONTENT = new Uint8Array(32).fill(5);

      it('of a content are found by others; nobody for one that nobody has', async () => {
        const [a, b] = await pair();
        const c = await network.join();
        await c.connect(addressOf(b), deadline());
        await until(async () => {
          await a.provide(CONTENT, AbortSignal.timeout(2000));
          return (await c.providers(CONTENT, AbortSignal.timeout(2000))).includes(a.self);
        });
        assert.deepEqual(await c.providers(new Uint8Array(32), AbortSignal.timeout(2000)), []);
        assert.equal((await a.providers(CONTENT, AbortSignal.timeout(2000))).includes(a.self), false);
      });

      it('are nobody for a lone node', async () => {
        const a = await network.join();
        await a.provide(CONTENT, deadline());
        assert.deepEqual(await a.providers(CONTENT, deadline()), []);
      });
    });

    describe('records', () => {
      const KEY = '/tsr/hc/128001/7/1';

      it('are stored with others and found there', async () => {
        const [a, b] = await pair();
        await until(async () => (await a.putRecord(KEY, bytes(1, 2), deadline())) === 1);
        const c = await network.join();
        await c.connect(addressOf(b), deadline());
        await until(async () => (await c.getRecord(KEY, deadline())) !== undefined);
        assert.deepEqual(await c.getRecord(KEY, deadline()), bytes(1, 2));
        assert.deepEqual(await b.getRecord(KEY, deadline()), bytes(1, 2));
        assert.equal(await c.getRecord('/tsr/hc/128001/7/2', deadline()), undefined);
      });

      it('are written once: a second value is refused at home and elsewhere', async () => {
        const a = await network.join();
        const b = await network.join();
        await a.putRecord(KEY, bytes(1), deadline());
        await b.putRecord(KEY, bytes(2), deadline());
        await rejectsWith('RECORD_REFUSED', a.putRecord(KEY, bytes(2), deadline()));
        await a.connect(addressOf(b), deadline());
        const witness = '/tsr/hc/128001/7/9';
        await until(async () => (await a.putRecord(witness, bytes(9), deadline())) === 1);
        assert.equal(await a.putRecord(KEY, bytes(1), deadline()), 0);
        assert.equal(await b.putRecord(KEY, bytes(2), deadline()), 0);
        assert.deepEqual(await a.getRecord(KEY, deadline()), bytes(1));
        assert.deepEqual(await b.getRecord(KEY, deadline()), bytes(2));
      });

      it('give way where the rules say so', async () => {
        const records = { replaces: (_key: string, held: Uint8Array, next: Uint8Array) => newer(held, next) };
        const a = await network.join({ records });
        const b = await network.join({ records });
        await a.connect(addressOf(b), deadline());
        await until(async () => (await a.putRecord(KEY, bytes(3), deadline())) === 1);
        assert.equal(await a.putRecord(KEY, bytes(5), deadline()), 1);
        await rejectsWith('RECORD_REFUSED', a.putRecord(KEY, bytes(4), deadline()));
        assert.deepEqual(await b.getRecord(KEY, deadline()), bytes(5));
      });

      it('are refused by the own rules: verdict, size, key', async () => {
        const judge = async (): Promise<Verdict> => 'ignore';
        const a = await network.join({ records: { judge } });
        await rejectsWith('RECORD_REFUSED', a.putRecord(KEY, bytes(1), deadline()));
        const b = await network.join({ records: { maxRecordBytes: 10 } });
        await rejectsWith('RECORD_REFUSED', b.putRecord(KEY, new Uint8Array(11), deadline()));
        await rejectsWith('RECORD_REFUSED', b.putRecord('/other/1', bytes(1), deadline()));
        assert.equal(await b.getRecord(KEY, deadline()), undefined);
      });

      it('are neither stored nor believed where the rules refuse them', async () => {
        const a = await network.join();
        const strict = await network.join({
          records: { judge: async (_key, value) => (value[0] === 1 ? 'accept' : 'reject') },
        });
        await a.connect(addressOf(strict), deadline());
        await until(async () => (await a.putRecord(`${KEY}0`, bytes(1), deadline())) === 1);
        assert.equal(await a.putRecord(KEY, bytes(2), deadline()), 0);
        assert.equal(await strict.getRecord(KEY, deadline()), undefined);
        assert.deepEqual(await strict.getRecord(`${KEY}0`, deadline()), bytes(1));
      });

      it('of a lone node stay at home, and nothing hangs', async () => {
        const a = await network.join();
        assert.equal(await a.putRecord(KEY, bytes(1), deadline()), 0);
        assert.deepEqual(await a.getRecord(KEY, deadline()), bytes(1));
        assert.equal(await a.getRecord(`${KEY}1`, deadline()), undefined);
      });

      it('are not asked for with a signal that has aborted', async () => {
        const [a] = await pair();
        const aborted = AbortSignal.abort(new Error('too late'));
        await assert.rejects(a.getRecord(KEY, aborted), /too late/);
        await assert.rejects(a.putRecord(KEY, bytes(1), aborted), /too late/);
      });
    });
  });
}

interface OpenPair {
  readonly near: FrameStream;
  readonly far: FrameStream;
  end(): void;
  fail(error: Error): void;
}

export const TOPIC = '/test/topic/1';
/** A well-formed peer id that no test uses. */
const STRANGER = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5' as PeerId;

function newer(held: Uint8Array, next: Uint8Array): boolean {
  return (next[0] ?? 0) > (held[0] ?? 0);
}

function addressOf(overlay: Overlay): string {
  const [address] = overlay.addresses();
  assert.ok(address !== undefined);
  return address;
}

async function collect(stream: FrameStream): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of stream.frames()) frames.push(frame);
  return frames;
}

async function first(stream: FrameStream): Promise<Uint8Array> {
  for await (const frame of stream.frames()) return frame;
  assert.fail('no frame');
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return errorCode(error);
  }
}

async function rejectsWith(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.equal(errorCode(error), code, String(error));
    return true;
  });
}

/** Asks again until it holds: other processes and sockets have no event to wait for. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const signal = deadline();
  while (!(await holds())) {
    assert.ok(!signal.aborted, 'it never came to hold');
    await turn(20);
  }
}

/** Waits until a number has not changed for a while: the only way to see that something waits. */
async function standsStill(read: () => number): Promise<void> {
  for (let last = -1; last !== read(); ) {
    last = read();
    await turn(300);
  }
}

function turn(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
