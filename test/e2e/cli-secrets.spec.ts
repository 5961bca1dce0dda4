// One node with encrypted keys lives through registration, work, a prompt and its end with everything logged: nothing it wrote anywhere
// holds a private key, a passphrase, a prompt or an API key, also not what a gateway leaves that crashes. On the way: metrics as a scrape sees
// them, and a stop that finishes kindly.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSigner, readPrivateKey } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain } from '../../src/chain/types.ts';
import type { Command } from '../../src/cli/command.ts';
import { activate } from '../../src/cli/commands/activate.ts';
import { activateSubnet } from '../../src/cli/commands/activate-subnet.ts';
import { keygen } from '../../src/cli/commands/keygen.ts';
import { registerSubnet } from '../../src/cli/commands/register-subnet.ts';
import { registerSubnetNode } from '../../src/cli/commands/register-subnet-node.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import { METRIC_NAMES } from '../../src/node/metrics.ts';
import { createIdentityFile, readIdentitySeed } from '../../src/p2p/identity.ts';
import type { Address, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Finished, runCli, startCli, stopCli } from '../support/cli.ts';
import { runCommand } from '../support/command.ts';

const PASSPHRASE = 'zebra-quartz-lantern-4711';
const PROMPT = 'Once upon a time, there was a xylophone-playing wombat named Bartholomew. One day';
const ADDRESS = '/ip4/127.0.0.1/tcp/21781';
const SUBNET = 128_001 as SubnetId;

describe('command line: secrets', function () {
  this.timeout(10 * 60_000);
  let folder: string;
  let home: string;
  let secretFile: string;
  let devChain: DevChain;
  let chain: Chain;
  const wrote: Finished[] = [];
  let metrics = '';
  let apiKey = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-secrets-'));
    home = join(folder, 'home');
    secretFile = join(folder, 'passphrase');
    writeFileSync(secretFile, `${PASSPHRASE}\n`, { mode: 0o600 });
    devChain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'instant' }, { log: silentLog });
    chain = await connectChain({ endpoints: [devChain.endpoint] }, { log: silentLog });
  });
  after(async () => {
    await chain?.close();
    await devChain?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function type(command: Command, flags: Record<string, unknown>): Promise<Record<string, unknown>> {
    const all = { 'passphrase-file': secretFile, ...flags };
    const rpc = command.options.includes('rpc') ? { rpc: devChain.endpoint } : {};
    const ran = await runCommand(command, { flags: { ...all, ...rpc }, dataDir: home });
    assert.equal(ran.code, 0, ran.notes);
    return ran.results[0] ?? {};
  }

  const usual = () => ['--data-dir', home, '--rpc', devChain.endpoint, '--log-level', 'debug'];

  it('a node with encrypted keys registers, works, answers, is watched, and leaves kindly', async () => {
    const hotkey = join(home, 'keys', 'hotkey.json');
    const made = await type(keygen, { accounts: true });
    await chain.transfer(await openSigner('//dev:0'), String(made.hotkey) as Address, 10n ** 18n);
    await type(registerSubnet, { coldkey: '//dev:0', 'announce-maddrs': [ADDRESS] });
    await type(registerSubnetNode, { coldkey: '//dev:0', hotkey, 'announce-maddrs': [ADDRESS] });
    await type(activate, { hotkey });
    await type(activateSubnet, { coldkey: '//dev:0' });

    const node = startCli([
      ...['run', '--json', '--shards', '0-3', '--threads', '1', '--hotkey', hotkey, '--passphrase-file', secretFile],
      ...[...usual(), '--host-maddrs', ADDRESS, '--metrics-port', '0'],
    ]);
    const { url } = await node.waitFor(({ event }) => event === 'metrics');
    const live = (await chain.subnet(SUBNET))?.startEpoch ?? 0;
    for (let made = 0; made < 60 && !node.lines.some(({ event }) => event === 'revealed'); made += 1) {
      const { number } = await devChain.newBlock();
      await node.waitFor(({ event, block }) => event === 'head' && Number(block) >= number);
    }
    assert.ok(
      node.lines.some(({ event }) => event === 'committed'),
      `work in epoch ${live}`,
    );

    const second = await runCli(['run', '--hotkey', hotkey, '--passphrase-file', secretFile, ...usual()]);
    assert.equal(second.code, 5, 'one node per journal');
    wrote.push(second);
    const asked = ['generate', PROMPT, '--max-tokens', '8', '--json', '--passphrase-file', secretFile];
    const answer = await runCli([...asked, ...usual()]);
    assert.equal(answer.code, 0, answer.stderr);
    await crashGateway();
    metrics = await (await fetch(String(url))).text();
    const ended = await stopCli(node);
    wrote.push(ended, { ...answer, stdout: '' });
    assert.equal(ended.code, 0, ended.stderr.slice(-2000));
    assert.ok(ended.lines.some(({ event }) => event === 'leaving'));
    assert.equal(ended.lines.at(-1)?.event, 'stopped');
    assert.match(ended.stderr, /"level":20/, 'debug lines are there');
  });

  /** One that is asked well and badly, tells its metrics, and ends by an exception that nobody catches, with a report on everything. */
  async function crashGateway(): Promise<void> {
    const made = await runCli(['gateway', 'keys', 'add', 'app', '--json', '--data-dir', home]);
    apiKey = String(made.lines[0]?.key);
    assert.match(apiKey, /^tsr-/, made.stderr);
    const crash = join(folder, 'crash.mjs');
    writeFileSync(crash, `process.on('SIGUSR2', () => { throw new Error('crashed on purpose'); });\n`);
    const NODE_OPTIONS = `--import ${crash} --report-uncaught-exception --report-directory=${home}`;
    const words = ['gateway', '--json', '--port', '0', '--passphrase-file', secretFile, ...usual()];
    const gateway = startCli(words, { NODE_OPTIONS });
    const { url } = await gateway.waitFor(({ event }) => event === 'gateway-ready');
    const ask = (body: object, key: string): Promise<Response> =>
      fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: 'tiny', prompt: PROMPT, temperature: 0, ...body }),
      });
    const answers = [await ask({ max_tokens: 8, stream: true }, apiKey), await ask({ n: 0 }, apiKey)];
    answers.push(await ask({ max_tokens: 8 }, `${apiKey}x`));
    for (const answer of answers) await answer.text();
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 400, 401],
    );
    const told = await (await fetch(`${url}/metrics`)).text();
    assert.match(told, /^tessera_generation_tokens_total 8$/m);
    gateway.child.kill('SIGUSR2');
    const crashed = await gateway.finished;
    assert.notEqual(crashed.code, 0);
    assert.match(crashed.stderr, /crashed on purpose/);
    assert.ok(readdirSync(home).some((name) => name.startsWith('report.')));
    wrote.push(crashed, { ...crashed, stdout: told, stderr: '' });
  }

  it('its metrics say what it did', () => {
    for (const name of METRIC_NAMES) assert.ok(metrics.includes(`# TYPE ${name} `), name);
    assert.match(metrics, /^tessera_sessions_opened_total 2$/m);
    assert.match(metrics, /^tessera_duty_outcomes_total\{type="committed"\} [1-9]/m);
    assert.match(metrics, /^tessera_engine_shards 4$/m);
    assert.match(metrics, /^tessera_node_stake_tensor 100/m);
  });

  it('nothing of it holds a private key, a passphrase, a prompt or an API key', async () => {
    const ask = async () => PASSPHRASE;
    const keys = [
      await readIdentitySeed(join(home, 'keys', 'peer_id'), ask),
      await readIdentitySeed(join(home, 'keys', 'client_peer_id'), ask),
      await readPrivateKey(join(home, 'keys', 'hotkey.json'), ask),
      await readPrivateKey(join(home, 'keys', 'coldkey.json'), ask),
    ].map((key) => Buffer.from(key));
    const forms = (key: Buffer) => [key, key.toString('hex'), key.toString('base64').slice(0, 42), [...key].join(',')];
    const words = ['xylophone', 'Bartholomew', PASSPHRASE, apiKey.slice('tsr-'.length)];
    const secrets = [...keys.flatMap(forms), ...words].map((secret) => Buffer.from(secret as string));
    const texts = [...wrote.flatMap(({ stdout, stderr }) => [stdout, stderr]), metrics].map((text) =>
      Buffer.from(text),
    );
    const files = readdirSync(home, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
    assert.ok(files.length >= 6, 'keys, journal, diary');
    assert.ok(
      texts.some((text) => text.length > 10_000),
      'the log is not empty',
    );
    for (const [i, secret] of secrets.entries())
      for (const text of [...texts, ...files]) assert.ok(!text.includes(secret), `secret ${i} was written`);
    // Where a key does lie open, the same search finds it.
    const open = join(folder, 'open');
    createIdentityFile(open);
    assert.ok(readFileSync(open).includes(Buffer.from(await readIdentitySeed(open, ask))));
    assert.equal(statSync(join(home, 'journal.sqlite')).mode & 0o077, 0);
  });
});
