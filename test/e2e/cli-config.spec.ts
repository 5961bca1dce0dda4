// What a person sees of the program's own settings and of this machine, as processes: where values come from, completion, doctor.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli } from '../support/cli.ts';

describe('command line: settings', function () {
  this.timeout(10 * 60_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-config-'));
    writeFileSync(join(folder, 'config.yaml'), 'threads: 3\nblock-ms: 700\nrole: attestor\n');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('config tells each value and where it came from', async () => {
    const env = { TESSERA_BLOCK_MS: '800', TESSERA_ROLE: 'hoster' };
    const ran = await runCli(['config', '--role', 'attestor', '--json', '--data-dir', folder], env);
    assert.equal(ran.code, 0, ran.stderr);
    const [line] = ran.lines;
    const expected = {
      role: { value: 'attestor', source: '--role' },
      'block-ms': { value: 800, source: 'TESSERA_BLOCK_MS' },
      threads: { value: 3, source: 'config key threads' },
      hosters: { value: 4, source: 'default of hosters' },
      'data-dir': { value: folder, source: '--data-dir' },
    };
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(line?.[name], value, name);
  });

  it('completion prints a script, and answers it', async () => {
    const [script, offered] = await Promise.all([
      runCli(['completion']),
      runCli(['--get-yargs-completions', 'tessera', 'sla']),
    ]);
    assert.match(script.stdout, /begin-tessera-completions[\s\S]*--get-yargs-completions/);
    assert.equal(offered.stdout, 'slashing\n');
  });

  it('bench measures the shards that it is asked for', async () => {
    const ran = await runCli(['bench', '--shards', '1-2', '--threads', '1', '--json']);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, /shards 1 2 of 4 on cpu/);
    const figures = new Map(ran.lines.map(({ name, value }) => [name, Number(value)]));
    assert.deepEqual([...figures.keys()], ['load', 'prefill', 'decode', 'decode.8', 'memory']);
    for (const [name, value] of figures) assert.ok(value > 0, `${name}: ${value}`);
  });

  it('ends quietly when nobody reads on', () => {
    const tessera = fileURLToPath(new URL('../../bin/tessera.js', import.meta.url));
    const command = `"${process.execPath}" "${tessera}" config | true; echo "\${PIPESTATUS[0]}"`;
    const ran = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    assert.equal(ran.stdout, '0\n');
    assert.equal(ran.stderr.includes('EPIPE'), false);
  });

  it('doctor finds what is missing, and says what to do', async () => {
    const ran = await runCli(['doctor', '--json', '--data-dir', join(folder, 'none'), '--rpc', 'ws://127.0.0.1:1']);
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, /2 problems.*DOCTOR_PROBLEMS/);
    const verdicts = new Map(ran.lines.map(({ check, verdict, todo }) => [check, { verdict, todo }]));
    assert.deepEqual(verdicts.get('keys'), { verdict: 'problem', todo: 'tessera keygen' });
    assert.equal(verdicts.get('rpc ws://127.0.0.1:1')?.verdict, 'problem');
    assert.equal(verdicts.get('versions')?.verdict, 'good');
  });
});
