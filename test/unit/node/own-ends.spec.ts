import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Subnet } from '../../../src/chain/types.ts';
import { openModel } from '../../../src/model/open.ts';
import { DEFAULT_CUT } from '../../../src/model/write.ts';
import { keepEnds } from '../../../src/node/own-ends.ts';
import { identityFromSeed } from '../../../src/p2p/identity.ts';
import { createMemoryNetwork } from '../../../src/p2p/memory.ts';
import { silentLog } from '../../../src/util/log.ts';
import { writeRandomModel } from '../../support/random-model.ts';

describe('a client that keeps both ends', () => {
  it('refuses a model that would leave nothing to others, and says why', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-ends-'));
    try {
      await writeRandomModel(folder, { blocks: 2, shards: 2 });
      const model = await openModel(folder);
      const identity = identityFromSeed(new Uint8Array(32).fill(1));
      const overlay = createMemoryNetwork().join(identity);
      const chain = { heads: async function* () {} };
      const directory = { offers: () => [], refresh: async () => undefined };
      const place = { model, cut: DEFAULT_CUT, subnet: { slot: 3 } as Subnet, genesis: '0x00', epochLength: 20 };
      const deps = { overlay, chain, directory, identity, log: silentLog };
      await assert.rejects(keepEnds(place, deps, new AbortController().signal), {
        facts: { code: 'OPTION_INVALID', option: 'keep-ends' },
        message: /the model has 2: nothing would be left for others/,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
