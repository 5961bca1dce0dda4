// The twin does what an overlay must do.

import { createMemoryNetwork } from '../../src/p2p/memory.ts';
import { peerFromPublicKey } from '../../src/types/peer-id.ts';
import { testOverlay } from './overlay.ts';

testOverlay('memory', async () => {
  const network = createMemoryNetwork({ autoConnect: false });
  let joined = 0;
  return {
    async join({ records = {} } = {}) {
      joined += 1;
      const rules = { judge: async () => 'accept' as const, replaces: () => false, maxRecordBytes: 1024, ...records };
      return network.join(peerFromPublicKey(new Uint8Array(32).fill(joined)), { records: rules });
    },
    async kill(overlay) {
      network.kill(overlay.self);
    },
    close: async () => undefined,
  };
});
