// The README's way by hand: a chain alone, then one command after the other, three nodes, an accepted epoch, a prompt, the scores.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePorts } from '../../src/devnet/plan.ts';
import { acceptedEpoch } from '../support/blocks.ts';
import { type Line, type Running, runCli, startCli, stopCli } from '../support/cli.ts';

const SHARDS = ['0-2', '1-3', '0,2-3'];
describe('a subnet set up by hand', function () {
  this.timeout(10 * 60_000);
  const folder = mkdtempSync(join(tmpdir(), 'tessera-hand-'));
  const running: Running[] = [];

  after(async () => {
    await Promise.all(running.reverse().map(stopCli));
    rmSync(folder, { recursive: true, force: true });
  });

  it('registers, activates, runs, answers and is scored', async () => {
    const ports = await findFreePorts(3, Math.random);
    const chain = startCli(['devchain', '--port', '0', '--mode', 'instant', '--json']);
    running.push(chain);
    const endpoint = String((await chain.waitFor((line) => line.event === 'chain-ready')).endpoint);

    const tessera = async (...args: string[]): Promise<Line> => {
      const { code, lines, stderr } = await runCli([
        ...args,
        '--json',
        ...(args[0] === 'keygen' ? [] : ['--rpc', endpoint]),
      ]);
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
      return lines.at(-1) ?? {};
    };
    const home = (i: number): string => join(folder, `n${i + 1}`);
    const address = (i: number): string => `/ip4/127.0.0.1/tcp/${ports[i]}`;

    for (const i of [0, 1, 2]) await tessera('keygen', '--data-dir', home(i));
    await tessera('register-subnet', '--data-dir', home(0), '--coldkey', '//dev:0', '--announce-maddrs', address(0));
    for (const i of [0, 1, 2]) {
      const keys = ['--coldkey', `//dev:${i}`, '--hotkey', `//dev:${6 + i}`];
      const registered = await tessera(
        'node',
        'register-subnet-node',
        '--data-dir',
        home(i),
        ...keys,
        '--announce_maddrs',
        address(i),
        '--rpc',
        endpoint,
      );
      assert.equal(registered.node, i + 1);
      const active = await tessera('activate', '--hotkey', `//dev:${6 + i}`);
      assert.equal(active.class, 'Validator');
    }
    await tessera('activate-subnet', '--coldkey', '//dev:0');

    for (const i of [0, 1, 2]) {
      const node = startCli([
        ...[
          'run',
          '--json',
          '--role',
          'hoster',
          '--shards',
          SHARDS[i] ?? '',
          '--data-dir',
          home(i),
          '--hotkey',
          `//dev:${6 + i}`,
        ],
        ...['--rpc', endpoint, '--host_maddrs', address(i), '--subnet_id', '128001', '--threads', '1'],
      ]);
      running.push(node);
      await node.waitFor((line) => line.event === 'ready');
    }
    const epoch = await acceptedEpoch(endpoint, running.slice(1));
    assert.ok(epoch > 0);

    const answer = await tessera(
      'generate',
      'Once upon a time',
      '--data-dir',
      join(folder, 'asker'),
      '--max-tokens',
      '20',
    );
    assert.equal((answer.tokens as number[]).length, 20);
    const scores = await tessera('scores', '--epoch', String(epoch));
    assert.equal(scores.outcome, 'Accepted');
    assert.equal((scores.scores as unknown[]).length, 3);
    const status = await tessera('status');
    assert.deepEqual(
      (status.nodes as { class: string }[]).map((node) => node.class),
      ['Validator', 'Validator', 'Validator'],
    );
  });
});
