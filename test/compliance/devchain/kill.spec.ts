// kill -9 at random moments, a few of the many of `npm run chain:kill`; and what the program says to the file of another chain.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killChain } from '../../support/kill-chain.ts';
import { signTransfers } from '../../support/transfers.ts';
import { SPEC, startChain } from './support.ts';

const MAIN = fileURLToPath(new URL('../../../bin/tessera.js', import.meta.url));

describe('devchain: killed', function () {
  this.timeout(120_000);

  it('comes back with the history that it told, whenever it was killed', async () => {
    const transfers = await signTransfers(100);
    const times = 8;
    const most = { lines: 60 };
    const table = await killChain({ spec: SPEC, times, seed: 7, most, transfers, note: () => undefined });
    assert.equal(table.kills, times);
    assert.equal(table.sameHead + table.oneMore + table.whileRollingBack, times);
    assert.ok(table.blocks > 0);
  });

  it('refuses the file of another chain with exit code 78 and both hashes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-devchain-'));
    try {
      mkdirSync(join(folder, 'chain'));
      const chain = await startChain({ dbFile: join(folder, 'chain', 'blocks.jsonl') });
      await chain.close();
      const options = ['--data-dir', folder, '--port', '0', '--genesis-time', '6000'];
      const { status, stderr } = spawnSync(process.execPath, [MAIN, 'devchain', ...options], { encoding: 'utf8' });
      assert.equal(status, 78, stderr);
      assert.ok(stderr.includes(chain.genesisHash), stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
