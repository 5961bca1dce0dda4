// What a person gets who types something wrong, or whose files, keys or chain are not as they should be: a sentence, and an exit code.

import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Finished, runCli } from '../support/cli.ts';

const NOBODY = 'ws://127.0.0.1:1';
const MODEL = fileURLToPath(new URL('../../models/tiny', import.meta.url));

describe('command line', function () {
  this.timeout(10 * 60_000);
  let folder: string;
  let chain: DevChain;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-cli-'));
    chain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'instant' }, { log: silentLog });
  });

  after(async () => {
    await chain.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const expect = (result: Finished, code: number, words: RegExp): void => {
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, words);
    assert.equal(result.stdout, '', 'stdout belongs to results');
  };
  const tessera = (...args: string[]): Promise<Finished> => runCli([...args, '--data-dir', join(folder, 'n1')]);

  describe('wrong usage is exit code 2', () => {
    const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
      ['an unknown command', ['fly'], /Unknown|Did you mean|unknown/],
      ['an unknown flag', ['status', '--colour', 'red'], /colour/],
      ['a flag without its value', ['status', '--rpc'], /rpc/],
      ['a number that is none', ['devnet', '--block-ms', 'fast'], /--block-ms is "fast"/],
      ['an amount that is none', ['register-subnet-node', '--stake', '-5'], /TENSOR|stake/],
      ['a role that is none', ['run', '--role', 'king'], /--role/],
      ['a missing text', ['generate'], /generate needs a text/],
      ['a missing account', ['activate'], /--hotkey is needed/],
    ];
    for (const [name, args, words] of cases) {
      it(name, async () => expect(await tessera(...args), 2, words));
    }

    it('an environment variable that is wrong is named', async () => {
      const result = await runCli(['devnet', '--data-dir', folder], { TESSERA_BLOCK_MS: 'never' });
      expect(result, 2, /TESSERA_BLOCK_MS is "never"/);
    });

    it('a config file with an unknown key is refused', async () => {
      const config = join(folder, 'config.yaml');
      writeFileSync(config, 'blockms: 5\n');
      expect(await tessera('devnet', '--config', config), 2, /unknown keys: blockms/);
    });
  });

  it('a chain that cannot be reached is exit code 3', async () => {
    expect(await tessera('status', '--rpc', NOBODY), 3, /127\.0\.0\.1:1.*CHAIN_UNREACHABLE/s);
  });

  it('a subnet that is not there is exit code 4', async () => {
    expect(await tessera('status', '--rpc', chain.endpoint, '--subnet-id', '128099'), 4, /no subnet 128099/);
  });

  it('a model that was changed is exit code 6', async () => {
    const broken = join(folder, 'broken-model');
    cpSync(MODEL, broken, { recursive: true });
    writeFileSync(join(broken, 'tokenizer.json'), '{}');
    expect(await tessera('generate', '--local', 'Hello', '--model', broken), 6, /tokenizer\.json.*manifest/s);
  });

  it('keys: made once, kept to their owner, refused when others can read them', async () => {
    const made = await runCli(['keygen', '--accounts', '--json', '--data-dir', join(folder, 'n1')]);
    assert.equal(made.code, 0, made.stderr);
    assert.match(String(made.lines[0]?.peer_id), /^12D3KooW/);
    assert.match(String(made.lines[0]?.hotkey), /^0x[0-9a-f]{40}$/);
    expect(await tessera('keygen', '--accounts'), 2, /never overwritten/);

    const hotkey = join(folder, 'n1', 'keys', 'hotkey.json');
    chmodSync(hotkey, 0o644);
    expect(await tessera('activate', '--hotkey', hotkey, '--rpc', chain.endpoint), 78, /chmod 600/);
    chmodSync(hotkey, 0o600);
    writeFileSync(hotkey, '{"type":"ethereum"}');
    expect(await tessera('activate', '--hotkey', hotkey, '--rpc', chain.endpoint), 78, /hotkey\.json/);
  });

  it('registration by hand: each refusal says what to do', async () => {
    const rpc = ['--rpc', chain.endpoint];
    const address = ['--announce-maddrs', '/ip4/127.0.0.1/tcp/31331'];
    const owner = await tessera('register-subnet', '--coldkey', '//dev:0', ...rpc, ...address);
    assert.equal(owner.code, 0, owner.stderr);
    expect(await tessera('register-subnet', '--coldkey', '//dev:0', ...rpc, ...address), 1, /name/);

    const register = ['register-subnet-node', ...rpc, ...address];
    expect(
      await tessera(...register, '--coldkey', '//dev:11', '--hotkey', '//dev:6', '--stake', '1000'),
      1,
      /balance/i,
    );
    expect(await tessera(...register, '--coldkey', '//dev:0', '--hotkey', '//dev:6', '--stake', '1'), 1, /stake/i);
    const first = await tessera(...register, '--coldkey', '//dev:0', '--hotkey', '//dev:6');
    assert.equal(first.code, 0, first.stderr);
    expect(await tessera(...register, '--coldkey', '//dev:0', '--hotkey', '//dev:6'), 1, /HotkeyHasOwner|hotkey/);
    expect(await tessera(...register, '--coldkey', '//dev:1', '--hotkey', '//dev:7'), 1, /peer/i);
    expect(await tessera('run', '--hotkey', '//dev:8', ...rpc), 4, /not registered/);
    expect(await tessera('run', '--hotkey', '//dev:6', ...rpc), 4, /not active/);
    const active = await tessera('activate', '--hotkey', '//dev:6', ...rpc);
    assert.equal(active.code, 0, active.stderr);
    expect(await tessera('activate', '--hotkey', '//dev:6', ...rpc), 1, /already/i);
    expect(await tessera('activate-subnet', '--coldkey', '//dev:1', ...rpc), 1, /owner/i);
    const live = await tessera('activate-subnet', '--coldkey', '//dev:0', ...rpc);
    assert.equal(live.code, 0, live.stderr);

    // A late comer waits for its turn.
    const late = join(folder, 'n2');
    await runCli(['keygen', '--data-dir', late]);
    const joined = await runCli([
      ...register,
      '--coldkey',
      '//dev:1',
      '--hotkey',
      '//dev:7',
      '--json',
      '--data-dir',
      late,
    ]);
    assert.equal(joined.code, 0, joined.stderr);
    expect(await tessera('activate', '--hotkey', '//dev:7', ...rpc), 1, /epoch/i);
    await chain.newBlock(Number(joined.lines[0]?.graceEnd) * 20 + 40);
    expect(await tessera('activate', '--hotkey', '//dev:7', ...rpc), 1, /expired|grace/i);
  });
});
