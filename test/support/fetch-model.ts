// A process that fetches a model from peers until it is killed: node fetch-model.ts <folder> <manifest hash> <multiaddr>...

import { fetchModel } from '../../src/distribution/fetch.ts';
import { peerSource } from '../../src/distribution/source.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import { silentLog } from '../../src/util/log.ts';

const [folder = '', manifest = '', ...addresses] = process.argv.slice(2);
const signal = AbortSignal.timeout(60_000);
const overlay = await createOverlay(
  {
    identity: identityFromSeed(new Uint8Array(32).fill(77)),
    listen: [],
    bootstrap: addresses,
    network: 'test',
    dhtServer: false,
    topics: [],
    records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 0 },
    privateAddresses: true,
  },
  { log: silentLog },
);
const peers = await Promise.all(addresses.map((address) => overlay.connect(address, signal)));
await fetchModel(
  { folder, manifest },
  {
    sources: async () => peers.map((peer) => peerSource(overlay, peer)),
    onProgress: ({ doneBytes }) => process.stdout.write(`${doneBytes}\n`),
    log: silentLog,
  },
  signal,
);
await overlay.close();
