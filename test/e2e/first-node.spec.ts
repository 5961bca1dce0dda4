// From an empty machine to a hoster that is scored: six commands, the first one from README, each of the others typed as the one before has printed
// it. Only the port and the pace of the blocks are the test's own.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePorts } from '../../src/devnet/plan.ts';
import { acceptedEpoch } from '../support/blocks.ts';
import { type Line, type Running, runCli, startCli, stopCli } from '../support/cli.ts';

const PATIENCE_MS = 8 * 60_000;
/** As printed. */
const PORT = '31330';

describe('the first node', function () {
  this.timeout(PATIENCE_MS);
  const home = mkdtempSync(join(tmpdir(), 'tessera-first-'));
  const running: Running[] = [];
  const typed: string[] = [];
  let env: Readonly<Record<string, string>> = { HOME: home };
  let port = '';

  after(async () => {
    await Promise.all(running.reverse().map(stopCli));
    rmSync(home, { recursive: true, force: true });
  });

  /** Types a line, and answers what it says comes next. */
  async function type(line: string, which = /Next/): Promise<string> {
    const { code, stderr } = await runCli(wordsOf(line), env);
    assert.equal(code, 0, `${line}: ${stderr}`);
    return nextIn(stderr, which);
  }

  function wordsOf(line: string): string[] {
    typed.push(line);
    return [...line.replace(PORT, port).split(' ').slice(1), '--json'];
  }

  function nextIn(prose: string, which: RegExp): string {
    const line = prose.split('\n').find((one) => /^Next/.test(one) && which.test(one)) ?? '';
    const [, command] = /: (tessera .*)$/.exec(line) ?? [];
    assert.ok(command !== undefined, `it says what comes next: ${prose}`);
    return command;
  }

  async function start(line: string, event: string, ...more: string[]): Promise<Line> {
    const started = startCli([...wordsOf(line), ...more], env);
    running.push(started);
    return started.waitFor((one) => one.event === event);
  }

  it('six commands, each of which tells the next, and it is scored', async () => {
    port = String((await findFreePorts(1, Math.random))[0]);
    const { endpoint } = await start('tessera devchain', 'chain-ready', '--port', '0', '--mode', 'instant');
    env = { ...env, TESSERA_RPC: String(endpoint) };
    const register = await type('tessera keygen', /development chain/);
    const registerNode = await type(register);
    const activate = await type(registerNode);
    const run = await type(activate);
    await start(run, 'ready');
    assert.deepEqual(
      typed.map((line) => line.split(' ')[1]),
      ['devchain', 'keygen', 'register-subnet', 'register-subnet-node', 'activate-subnet', 'run'],
    );

    const epoch = await acceptedEpoch(String(endpoint), running.slice(1));
    const { lines } = await runCli(['scores', '--epoch', String(epoch), '--json'], env);
    const [score] = (lines[0]?.scores ?? []) as { node: number; score: string }[];
    assert.equal(score?.node, 1);
    assert.ok(BigInt(score?.score ?? 0) > 0n, 'it is scored');
  });
});
