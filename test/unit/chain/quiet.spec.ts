import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

describe('lines of polkadot.js', () => {
  it('go to the log, and nothing else does', () => {
    const quiet = new URL('../../../src/chain/substrate/quiet.ts', import.meta.url).href;
    const log = new URL('../../../src/util/log.ts', import.meta.url).href;
    const script = `
      import { divertPolkadotLines } from ${JSON.stringify(quiet)};
      import { createLog } from ${JSON.stringify(log)};
      divertPolkadotLines(createLog({ level: 'debug' }));
      divertPolkadotLines(createLog({ level: 'debug', fields: { second: true } }));
      for (const level of ['log', 'warn', 'error']) {
        console[level]('2026-01-02 03:04:05', '       API/INIT:', level, 7);
        console[level]('2026-01-02 03:04:05', 'a result');
      }
    `;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '2026-01-02 03:04:05 a result\n');
    const lines = stderr.trim().split('\n');
    assert.deepEqual(
      lines
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line))
        .map(({ source, text, second }) => [source, text, second]),
      ['log', 'warn', 'error'].map((level) => ['API/INIT:', `${level} 7`, true]),
    );
    assert.equal(lines.filter((line) => line === '2026-01-02 03:04:05 a result').length, 2);
  });
});
