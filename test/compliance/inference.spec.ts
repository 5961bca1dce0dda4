// Inference over the twins, and over libp2p on loopback with ONNX Runtime.

import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import { createMemoryNetwork } from '../../src/p2p/memory.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import { silentLog } from '../../src/util/log.ts';
import { testInference } from './inference.ts';

testInference('memory, reference', async () => {
  const network = createMemoryNetwork({ autoConnect: false });
  return {
    join: async (identity) => network.join(identity),
    kill: async (overlay) => network.kill(overlay.self),
    createEngine: async (model) => createReferenceEngine({ model, cut: DEFAULT_CUT }),
    close: async () => undefined,
  };
});

testInference('libp2p, ONNX Runtime', async () => {
  const overlays: Overlay[] = [];
  return {
    async join(identity, topic) {
      const overlay = await createOverlay(
        {
          identity,
          listen: ['/ip4/127.0.0.1/tcp/0'],
          bootstrap: [],
          network: 'test',
          dhtServer: false,
          topics: [topic],
          records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
          privateAddresses: true,
        },
        { log: silentLog },
      );
      overlays.push(overlay);
      return overlay;
    },
    kill: (overlay) => overlay.close(),
    createEngine: (model) =>
      createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu', threads: 1 }, { log: silentLog }),
    async close() {
      await Promise.all(overlays.map((overlay) => overlay.close()));
    },
  };
});
