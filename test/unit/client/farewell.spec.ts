// What hops owe and what they signed: a client that hears too little, or what cannot be, says BAD_RECEIPT and goes elsewhere (protocol.md 13). The hops are
// honest; what one of them says is changed on its way, which to the client is the same as a hop that lies.

import assert from 'node:assert/strict';
import { type Client, createClient } from '../../../src/client/client.ts';
import { generateLocal } from '../../../src/client/local.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import type { FrameStream, Overlay } from '../../../src/p2p/types.ts';
import type { PeerId } from '../../../src/types/ids.ts';
import { type Log, silentLog } from '../../../src/util/log.ts';
import { decodeMessage, encodeMessage } from '../../../src/wire/infer.ts';
import { decodeReceipt, type Receipt, signReceipt } from '../../../src/wire/receipt.ts';
import { collect, createFakeEngine, identityOf, MODEL, type Net, promptOf, SAMPLED, startNet } from './net.ts';

const never = new AbortController().signal;
const PROMPT = promptOf(70);
const HOUR_MS = 3_600_000;
const DEADLINES = { openMs: HOUR_MS, stepMs: HOUR_MS, callMs: 0, closeMs: HOUR_MS };

/** What becomes of the receipts of one peer; undefined: they never come. */
type Change = (receipt: Uint8Array) => Uint8Array | undefined;

interface Failure {
  readonly peer: PeerId;
  readonly hop: number;
  readonly reason: string;
  readonly suspected: boolean;
}

/** The overlay of a client, with the receipts of one peer changed. */
function meddledWith(overlay: Overlay, peer: PeerId, change: Change): Overlay {
  const openStream: Overlay['openStream'] = async (to, protocol, options) => {
    const stream = await overlay.openStream(to, protocol, options);
    return to === peer ? meddledStream(stream, change) : stream;
  };
  return { ...overlay, openStream };
}

function meddledStream(stream: FrameStream, change: Change): FrameStream {
  async function* frames(): AsyncGenerator<Uint8Array> {
    for await (const frame of stream.frames()) {
      const message = decodeMessage(frame);
      if (!message.ok || message.value.type !== 'RECEIPT') {
        yield frame;
        continue;
      }
      const receipt = change(message.value.receipt);
      if (receipt !== undefined) yield Buffer.concat([...encodeMessage({ type: 'RECEIPT', receipt })]);
    }
  }
  const { peer } = stream;
  return {
    peer,
    frames,
    send: (parts, signal) => stream.send(parts, signal),
    close: () => stream.close(),
    abort: (reason) => stream.abort(reason),
  };
}

/** A receipt as the hop of `startNet` with this place would sign it if it said something else. */
const resigned =
  (place: number, lie: Partial<Receipt>): Change =>
  (bytes) => {
    const read = decodeReceipt(bytes);
    assert.ok(read.ok);
    return signReceipt({ ...read.value.value, ...lie }, identityOf(place)).bytes;
  };

const flipped: Change = (bytes) => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
const withheld: Change = () => undefined;
const LIE = new Uint8Array(32).fill(9);

/** Hosters 1 and 0 stand on the first route, in that order; 2 and 3 are left for the next one. */
const FIRST = 1;
const LAST = 0;

describe('client: receipts that hops owe', () => {
  let net: Net;
  let failures: Failure[];
  afterEach(() => net.close());

  const log: Log = {
    ...silentLog,
    info(message, facts) {
      if (message === 'hop failed') failures.push(facts as unknown as Failure);
    },
  };

  async function start(place: number, change: Change, stateless = false, closeMs = HOUR_MS): Promise<Client> {
    net = await startNet({ stateless });
    failures = [];
    const overlay = meddledWith(net.overlay, identityOf(place).peer, change);
    const { directory, identity, now, heads } = net;
    const options = { model: MODEL, deadlines: { ...DEADLINES, closeMs } };
    return createClient(options, {
      overlay,
      chain: { heads },
      directory,
      identity,
      now,
      verify: verifySignature,
      log,
    });
  }

  /** The tokens stay, whatever becomes of the receipts. @returns the peers of the route that gave the last one */
  async function generate(client: Client, prompt: readonly number[] = PROMPT): Promise<readonly PeerId[]> {
    const generation = client.generate(prompt, SAMPLED, never);
    const tokens = await collect(generation);
    assert.deepEqual(tokens, await collect(generateLocal(createFakeEngine(), MODEL, prompt, SAMPLED, never)));
    return generation.route.map(({ peer }) => peer);
  }

  for (const place of [FIRST, LAST]) {
    const hop = place === FIRST ? 0 : 1;

    it(`a hop ${hop} that owes its last receipt at the goodbye counts as failed, and is left out next time`, async () => {
      const client = await start(place, withheld);
      // 10 rows and 11 tokens: no segment is due before the goodbye.
      const { peer } = identityOf(place);
      assert.ok((await generate(client, promptOf(10))).includes(peer));
      assert.deepEqual(failures, [{ peer, hop, reason: 'BAD_RECEIPT', suspected: false }]);
      assert.ok(!(await generate(client, promptOf(10))).includes(peer));
      assert.equal(failures.length, 1);
    });

    it(`a hop ${hop} whose receipt is not signed by it is named, and only it`, async () => {
      const { peer } = identityOf(place);
      const client = await start(place, flipped);
      await generate(client);
      assert.ok(failures.length > 0);
      for (const failure of failures) assert.deepEqual(failure, { peer, hop, reason: 'BAD_RECEIPT', suspected: false });
    });

    it(`of two neighbours that tell different stories of their border both are under suspicion: hop ${hop} lies`, async () => {
      const client = await start(place, resigned(place, place === FIRST ? { given: LIE } : { taken: LIE }));
      await generate(client);
      const told = new Set(failures.map(({ peer, reason, suspected }) => `${peer} ${reason} ${suspected}`));
      const both = [FIRST, LAST].map((one) => `${identityOf(one).peer} BAD_RECEIPT true`);
      assert.deepEqual(told, new Set(both));
    });
  }

  it('who contradicts what the client itself has sent, or was given, is named alone', async () => {
    for (const [place, lie] of [
      [FIRST, { taken: LIE }],
      [LAST, { given: LIE }],
    ] as const) {
      const client = await start(place, resigned(place, lie));
      await generate(client);
      const told = new Set(failures.map(({ peer, reason, suspected }) => `${peer} ${reason} ${suspected}`));
      assert.deepEqual(told, new Set([`${identityOf(place).peer} BAD_RECEIPT false`]));
      await net.close();
    }
  });

  it('nothing is held against hops that gave what they owe', async () => {
    const client = await start(LAST, (receipt) => receipt);
    const route = await generate(client);
    assert.deepEqual(await generate(client), route);
    assert.deepEqual(failures, []);
  });

  it('slow is no offence: a goodbye that takes too long is broken off, and nobody is blamed', async () => {
    const client = await start(LAST, withheld, false, 1);
    const last = net.hosters[LAST];
    assert.ok(last);
    // The hop is in its last job when the client says goodbye, and stays there.
    const stays = Promise.withResolvers<void>();
    const open = last.engine.openSession;
    last.engine.openSession = async (...asked) => {
      const session = await open(...asked);
      return Object.assign(session, { release: () => stays.promise });
    };
    try {
      await generate(client, promptOf(10));
      assert.deepEqual(failures, []);
    } finally {
      stays.resolve();
    }
  });

  for (const place of [FIRST, LAST]) {
    it(`a stateless hop ${place === FIRST ? 0 : 1} that owes the receipt of its last run counts as failed`, async () => {
      const client = await start(place, withheld, true);
      const tensors = [
        { name: 'x.0', dims: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) },
        { name: 'weight', dims: [1, 2], data: Int32Array.of(1, 1) },
      ];
      const runs = async (): Promise<readonly PeerId[]> => {
        const run = client.run([{ tensors, fits: () => true }], never);
        let results = 0;
        for await (const outputs of run) results += outputs.length;
        assert.equal(results, 1);
        return run.route.map(({ peer }) => peer);
      };
      const { peer } = identityOf(place);
      assert.ok((await runs()).includes(peer));
      const hop = place === FIRST ? 0 : 1;
      assert.deepEqual(failures, [{ peer, hop, reason: 'BAD_RECEIPT', suspected: false }]);
      assert.ok(!(await runs()).includes(peer));
    });
  }
});
