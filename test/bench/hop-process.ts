// The other process of `npm run bench -- hop`: a hoster whose engine answers at once, and an echo of the same frames beside it.

import { createHeadFeed } from '../../src/chain/heads.ts';
import type { Engine, KvSession } from '../../src/engine/types.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { BlockNumber, Hash, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { ECHO_PROTOCOL, HOP_MODEL, HOP_SEED } from './hop.ts';

const SUBNET = 128_001 as SubnetId;

/** Takes rows and answers the same candidates at once: what is left of a step is the hop. */
function nullEngine(): Pick<Engine, 'run' | 'openSession' | 'stats'> {
  const top = { ids: Int32Array.of(1, 2), values: Float32Array.of(2, 1), logSumExp: 3 };
  return {
    run: async () => [],
    async openSession({ from, to }, { maxTokens }) {
      let length = 0;
      const session: KvSession = {
        get length() {
          return length;
        },
        maxTokens,
        from,
        to,
        async step(at, rows) {
          length = at + (rows.kind === 'tokens' ? rows.ids.length : rows.count);
          return { kind: 'top', top };
        },
        truncate: () => undefined,
        release: async () => undefined,
      };
      return session;
    },
    stats: () => ({ shards: [], sessions: 0, kvBytes: 0, kvBudgetBytes: 1, steps: 0, rows: 0, queued: 0 }),
  };
}

async function serveHop(): Promise<void> {
  const identity = identityFromSeed(new Uint8Array(32).fill(HOP_SEED));
  const overlay = await createOverlay(
    {
      identity,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      network: 'bench',
      dhtServer: false,
      topics: [],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
      privateAddresses: true,
    },
    { log: silentLog },
  );
  const feed = createHeadFeed();
  feed.publish({ number: 100 as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
  const hoster = createHoster(
    {
      subnet: SUBNET,
      node: 1 as NodeId,
      genesis: new Uint8Array(32),
      clock: { slot: 3, epochLength: 20 },
      model: HOP_MODEL,
      shards: [1 as ShardIndex],
      version: 'bench',
      memoryMiB: 1,
    },
    {
      overlay,
      engine: nullEngine(),
      identity,
      chain: { heads: (_kind, signal) => feed.stream(signal) },
      board: { admit: async () => undefined, records: () => [] },
      verify: verifySignature,
      mayAsk: () => true,
      now: () => performance.now(),
      log: silentLog,
    },
  );
  void hoster.run(new AbortController().signal);
  const admission = { maxFrameBytes: 1 << 20, maxStreamsPerPeer: 4, admit: () => true };
  await overlay.handleStream(ECHO_PROTOCOL, admission, async (stream) => {
    // As long as an answer with one token.
    for await (const frame of stream.frames()) await stream.send([frame.slice(0, 64)]);
  });
  process.on('disconnect', () => process.exit());
  process.send?.(overlay.addresses());
}

await serveHop();
