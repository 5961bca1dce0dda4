// Keys as an operator handles them: made encrypted, listed, moved in the forms of other programs, backed up with the journal and restored,
// and never shown. In this process, but for what only a process shows.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSigner } from '../../src/chain/accounts.ts';
import { keygen } from '../../src/cli/commands/keygen.ts';
import { keys } from '../../src/cli/commands/keys.ts';
import { slashing } from '../../src/cli/commands/slashing.ts';
import { openIdentity } from '../../src/p2p/identity.ts';
import { createJournal } from '../../src/store/sqlite.ts';
import type { Slot } from '../../src/store/types.ts';
import type { Hash } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { runCli } from '../support/cli.ts';
import { type Ran, runCommand } from '../support/command.ts';

const PASSPHRASE = 'correct horse battery staple';
const GENESIS = `0x${'11'.repeat(32)}` as Hash;
const slot = (epoch: number) => ({ subnet: 128_001, node: 1, epoch, kind: 'hc' }) as Slot;

describe('command line: keys', function () {
  this.timeout(10 * 60_000);
  let folder: string;
  let home: string;
  let secret: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-keys-'));
    home = join(folder, 'home');
    secret = join(folder, 'passphrase');
    writeFileSync(secret, `${PASSPHRASE}\n`, { mode: 0o600 });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function type(action: string, flags: Record<string, unknown> = {}, text = '', dataDir = home): Promise<Ran> {
    return runCommand(keys, { action, flags, text, dataDir });
  }

  it('are made encrypted, and listed without their passphrase', async () => {
    const weak = join(folder, 'weak');
    writeFileSync(weak, 'short\n');
    const refused = await runCommand(keygen, { flags: { 'passphrase-file': weak }, dataDir: home });
    assert.deepEqual([refused.code, /at least 10/.test(refused.notes)], [2, true]);
    const flags = { accounts: true, 'passphrase-file': secret };
    const made = await runCommand(keygen, { flags, dataDir: home });
    assert.equal(made.code, 0, made.notes);
    const listed = await type('list');
    assert.equal(listed.text.match(/ encrypted /g)?.length, 5, listed.text);
    assert.match(listed.notes, /coldkey is on this machine/);
    for (const id of Object.values(made.results[0] ?? {}).slice(2)) assert.ok(listed.text.includes(String(id)));
    const { peer } = openIdentity(join(home, 'keys', 'peer_id'), PASSPHRASE);
    assert.equal(made.results[0]?.peer_id, peer);
  });

  it('go out and come in, in the forms of other programs', async () => {
    const { peer } = openIdentity(join(home, 'keys', 'peer_id'), PASSPHRASE);
    const other = join(folder, 'other');
    for (const [form, bytes] of [
      ['plain', 68],
      ['raw32', 32],
      ['raw64', 64],
    ] as const) {
      const out = join(folder, form);
      const ran = await type('export', { form, out, 'passphrase-file': secret }, 'peer_id');
      assert.equal(ran.code, 0, ran.notes);
      assert.match(ran.notes, /not encrypted/);
      assert.deepEqual([statSync(out).size, statSync(out).mode & 0o777], [bytes, 0o600]);
      const imported = await type('import', { in: out }, 'client_peer_id', other);
      assert.equal(imported.results[0]?.id, peer, form);
      assert.equal((await type('import', { in: out }, 'client_peer_id', other)).code, 2, 'never overwritten');
      rmSync(join(other, 'keys'), { recursive: true });
    }
    const { address } = await openSigner(join(home, 'keys', 'hotkey.json'), async () => PASSPHRASE);
    const out = join(folder, 'hotkey.txt');
    await type('export', { form: 'raw32', out, 'passphrase-file': secret }, 'hotkey');
    const back = await type('import', { in: out, 'passphrase-file': secret }, 'hotkey', other);
    assert.equal(back.results[0]?.id, address);
    assert.equal((await openSigner(join(other, 'keys', 'hotkey.json'), async () => PASSPHRASE)).address, address);
    assert.match((await type('import', { in: out }, 'king', other)).notes, /say which key/);
    chmodSync(out, 0o644);
    assert.equal((await type('import', { in: out }, 'coldkey', other)).code, 78, 'others may have read it');
  });

  it('are backed up with the journal, and restored where nothing can be signed twice', async () => {
    const journal = createJournal({ file: join(home, 'journal.sqlite'), genesis: GENESIS });
    journal.claim(slot(40), new Uint8Array([1, 2, 3]));
    const out = join(folder, 'backup.json');
    const busy = await type('backup', { out, 'passphrase-file': secret });
    assert.equal(busy.code, 5, 'the node runs');
    journal.close();
    const saved = await type('backup', { out, 'passphrase-file': secret });
    assert.equal(saved.code, 0, saved.notes);
    assert.equal(statSync(out).mode & 0o777, 0o600);

    const fresh = join(folder, 'fresh');
    const restored = await type('restore', { in: out, 'passphrase-file': secret }, '', fresh);
    assert.equal(restored.code, 0, restored.notes);
    assert.match(restored.notes, /wait until two epochs have passed.*ends in subnet epoch 40/);
    assert.equal(
      openIdentity(join(fresh, 'keys', 'peer_id')).peer,
      openIdentity(join(home, 'keys', 'peer_id'), PASSPHRASE).peer,
    );
    const there = createJournal({ file: join(fresh, 'journal.sqlite'), genesis: GENESIS });
    assert.throws(
      () => there.claim(slot(40), new Uint8Array([9])),
      (error) => errorCode(error) === 'SIGNED_ALREADY',
    );
    there.close();
    assert.equal((await type('restore', { in: out, 'passphrase-file': secret }, '', fresh)).code, 2, 'keys are there');
    writeFileSync(
      out,
      readFileSync(out, 'utf8')
        .replace('"mac":"', '"mac":"0')
        .replace(/"mac":"(.{64})./, '"mac":"$1'),
    );
    assert.equal((await type('restore', { in: out, 'passphrase-file': secret }, '', join(folder, 'x'))).code, 78);
    writeFileSync(out, '{}');
    assert.equal((await type('restore', { in: out, 'passphrase-file': secret }, '', join(folder, 'x'))).code, 6);
    const nowhere = join(folder, 'nowhere.json');
    await assert.rejects(type('restore', { in: nowhere, 'passphrase-file': secret }, '', join(folder, 'x')), {
      code: 'ENOENT',
    });
  });

  it('leave their signatures behind as JSON, which another journal takes in', async () => {
    const run = (action: string, flags: Record<string, unknown>, dataDir: string) =>
      runCommand(slashing, { action, flags, dataDir });
    const out = join(folder, 'signed.json');
    assert.equal((await run('export', { out }, join(folder, 'nowhere'))).code, 78);
    const exported = await run('export', { out }, home);
    assert.equal(exported.results[0]?.signed, 1, exported.notes);
    const target = join(folder, 'target');
    const imported = await run('import', { in: out }, target);
    assert.deepEqual([imported.results[0]?.written, imported.results[0]?.lastEpoch], [1, 40]);
    assert.match(imported.notes, /Stop the old node/);
    const text = readFileSync(out, 'utf8');
    writeFileSync(out, text.replaceAll('11', '22'));
    assert.equal((await run('import', { in: out }, target)).code, 78, 'another chain');
    writeFileSync(out, 'no JSON');
    assert.equal((await run('import', { in: out }, target)).code, 6);
  });

  it('ask nobody where there is no terminal, and say what to do', async () => {
    const hotkey = join(home, 'keys', 'hotkey.json');
    const refused = await runCli(['activate', '--hotkey', hotkey, '--data-dir', home]);
    assert.equal(refused.code, 78, refused.stderr);
    assert.match(refused.stderr, /is encrypted.*--passphrase-file.*PASSPHRASE_NEEDED/);
    const imported = await runCli(['keys', 'import', 'hotkey', '--in', hotkey, '--data-dir', join(folder, 'taker')]);
    assert.match(imported.stderr, /is encrypted.* --from-passphrase-file,.*PASSPHRASE_NEEDED/);
    const wrong = join(folder, 'wrong');
    writeFileSync(wrong, 'another passphrase\n');
    const closed = await runCli(['activate', '--hotkey', hotkey, '--data-dir', home, '--passphrase-file', wrong]);
    assert.match(closed.stderr, /PASSPHRASE_WRONG/);
    assert.ok(!closed.stderr.includes('another passphrase'));
  });
});
