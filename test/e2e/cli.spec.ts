// What a person gets who types something wrong, or whose files, keys or chain are not as they should be: a sentence, and an exit code.

import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from '../../src/cli/command.ts';
import { activate } from '../../src/cli/commands/activate.ts';
import { activateSubnet } from '../../src/cli/commands/activate-subnet.ts';
import { keygen } from '../../src/cli/commands/keygen.ts';
import { registerSubnet } from '../../src/cli/commands/register-subnet.ts';
import { registerSubnetNode } from '../../src/cli/commands/register-subnet-node.ts';
import { run } from '../../src/cli/commands/run.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Finished, runCli } from '../support/cli.ts';
import { type Ran, runCommand } from '../support/command.ts';

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
      ['a missing action', ['stake'], /tessera stake add\|remove\|claim/],
      ['an endpoint that is none', ['status', '--rpc', 'localhost'], /--rpc .*ws:\/\/127\.0\.0\.1:9944/],
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

  it('words that could be numbers are taken as they are', async () => {
    const account = `0x${'1'.padStart(40, '0')}`;
    const { code, stdout, stderr } = await tessera('balance', account, '--rpc', chain.endpoint);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.startsWith(`${account}\n`), stdout);
  });

  it('a folder without a model is named, with exit code 78', async () => {
    expect(await tessera('generate', '--local', 'Hello', '--model', folder), 78, new RegExp(`${folder}/manifest.json`));
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
    const home = join(folder, 'by-hand');
    const type = (command: Command, flags: Record<string, unknown>, dataDir = home): Promise<Ran> =>
      runCommand(command, {
        flags: command.options.includes('rpc') ? { rpc: chain.endpoint, ...flags } : flags,
        dataDir,
      });
    const done = async (command: Command, flags: Record<string, unknown>, dataDir = home): Promise<Ran> => {
      const ran = await type(command, flags, dataDir);
      assert.equal(ran.code, 0, ran.notes);
      return ran;
    };
    const refused = async (command: Command, flags: Record<string, unknown>, code: number, words: RegExp) => {
      const ran = await type(command, flags);
      assert.equal(ran.code, code, ran.notes);
      assert.match(ran.notes, words);
      assert.deepEqual(ran.results, [], 'stdout belongs to results');
    };
    const [owner, other] = [{ coldkey: '//dev:0' }, { coldkey: '//dev:1' }];
    const here = { 'announce-maddrs': ['/ip4/127.0.0.1/tcp/31331'] };
    const first = { ...owner, ...here, hotkey: '//dev:6' };
    await done(keygen, {});
    await done(registerSubnet, { ...owner, ...here });
    await refused(registerSubnet, { ...owner, ...here }, 1, /name/);
    await refused(registerSubnetNode, { ...first, coldkey: '//dev:11', stake: '1000' }, 1, /balance/i);
    await refused(registerSubnetNode, { ...first, stake: '1' }, 1, /stake/i);
    await done(registerSubnetNode, first);
    await refused(registerSubnetNode, first, 1, /HotkeyHasOwner|hotkey/);
    await refused(registerSubnetNode, { ...other, ...here, hotkey: '//dev:7' }, 1, /peer/i);
    await refused(run, { hotkey: '//dev:8' }, 4, /not registered/);
    await refused(run, { hotkey: '//dev:6' }, 4, /not active/);
    await done(activate, { hotkey: '//dev:6' });
    await refused(activate, { hotkey: '//dev:6' }, 1, /already/i);
    await refused(activateSubnet, other, 1, /owner/i);
    const live = await done(activateSubnet, owner);
    assert.match(live.notes, /^Next: /m);

    // A late comer waits for its turn.
    const late = join(folder, 'late');
    await done(keygen, {}, late);
    const joined = await done(registerSubnetNode, { ...other, ...here, hotkey: '//dev:7' }, late);
    await refused(activate, { hotkey: '//dev:7' }, 1, /epoch/i);
    await chain.newBlock(Number(joined.results[0]?.graceEnd) * 20 + 40);
    await refused(activate, { hotkey: '//dev:7' }, 1, /expired|grace/i);
  });
});
