// The programs of docs/clients.md, as they stand there: a node that serves and works, and a client that asks it. Only port, folders and endpoint are
// the test's own.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Command } from '../../src/cli/command.ts';
import { activateSubnet } from '../../src/cli/commands/activate-subnet.ts';
import { keygen } from '../../src/cli/commands/keygen.ts';
import { registerSubnet } from '../../src/cli/commands/register-subnet.ts';
import { registerSubnetNode } from '../../src/cli/commands/register-subnet-node.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import { findFreePorts } from '../../src/devnet/plan.ts';
import { silentLog } from '../../src/util/log.ts';
import { runCommand } from '../support/command.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = readFileSync(join(ROOT, 'docs/clients.md'), 'utf8');
/** More than an epoch, so that there is work to do. */
const MOST_BLOCKS = 80;

interface Program {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** A line that is there or comes. */
  hear(pattern: RegExp): Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

function programOf(heading: string): string {
  const section = PAGE.split(new RegExp(`^#+ ${heading}$`, 'm'))[1] ?? '';
  return /```ts\n(.*?)```/s.exec(section)?.[1] ?? '';
}

describe('the programs of docs/clients.md', function () {
  this.timeout(8 * 60_000);
  let folder: string;
  let home: string;
  let chain: DevChain;
  let port: number;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-programs-'));
    home = join(folder, 'home');
    port = (await findFreePorts(1, Math.random))[0] ?? 0;
    chain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'instant' }, { log: silentLog });
    const here = { 'announce-maddrs': [`/ip4/127.0.0.1/tcp/${port}`] };
    const owner = { coldkey: '//dev:0' };
    await type(keygen, {});
    await type(registerSubnet, { ...owner, ...here });
    await type(registerSubnetNode, { ...owner, ...here, hotkey: '//dev:6' });
    await type(activateSubnet, { ...owner, hotkey: '//dev:6' });
  });
  after(async () => {
    await chain?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function type(command: Command, flags: Record<string, unknown>): Promise<void> {
    const rpc = command.options.includes('rpc') ? { rpc: chain.endpoint } : {};
    const ran = await runCommand(command, { flags: { ...flags, ...rpc }, dataDir: home });
    assert.equal(ran.code, 0, ran.notes);
  }

  function start(name: string, source: string): Program {
    const file = join(folder, `${name}.ts`);
    const ours = source
      .replace('./src/index.ts', new URL('src/index.ts', `file://${ROOT}`).href)
      .replace('ws://127.0.0.1:9944', chain.endpoint)
      .replaceAll("'.tessera", `'${home}`)
      .replace('31330', String(port));
    writeFileSync(file, ours);
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines: string[] = [];
    const waiting = new Set<() => void>();
    let stderr = '';
    child.stderr.on('data', (part: Buffer) => {
      stderr += part.toString();
    });
    const wake = (): void => {
      for (const look of waiting) look();
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      wake();
    });
    const ended = once(child, 'close').then(([code]) => {
      wake();
      return { code: code as number | null, stderr };
    });
    const hear = (pattern: RegExp): Promise<string> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find((line) => pattern.test(line));
          if (found !== undefined) resolve(found);
          else if (child.exitCode !== null) reject(new Error(`${name} ended: ${stderr}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      });
    return { child, lines, hear, ended };
  }

  /** Two questions to `tessera chat`; the second goes on from the first. */
  async function talk(): Promise<void> {
    const words = [
      'chat',
      '--json',
      '--max-tokens',
      '20',
      '--rpc',
      chain.endpoint,
      '--data-dir',
      join(folder, 'talker'),
    ];
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(ROOT, 'bin/tessera.js'), ...words],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    child.stdin.end('Tell me about a calm ant.\nWhat was its name?\n\nnobody hears this\n');
    const said: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => said.push(line));
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    const answers = said.map((line) => JSON.parse(line) as { event: string; question: string; text: string });
    assert.deepEqual(
      answers.map(({ event, question }) => [event, question]),
      [
        ['answered', 'Tell me about a calm ant.'],
        ['answered', 'What was its name?'],
      ],
    );
    assert.ok(answers.every(({ text }) => /\w+ \w+/.test(text)));
  }

  it('are those of scripts/examples, which are checked for types', () => {
    for (const [heading, file] of [
      ['TypeScript', 'ask'],
      ['A node in a program', 'serve'],
    ] as const) {
      const source = readFileSync(join(ROOT, `scripts/examples/${file}.ts`), 'utf8');
      assert.equal(programOf(heading), source.replace('../../src/index.ts', './src/index.ts'));
    }
  });

  it('a node serves all shards and does its work, a client is answered, and both end well', async () => {
    const node = start('serve', programOf('A node in a program'));
    try {
      assert.equal(await node.hear(/^serves/), 'serves shards 0 1 2 3');
      for (let made = 0; made < MOST_BLOCKS && !node.lines.includes('committed '); made += 1) {
        const { number } = await chain.newBlock();
        await node.hear(new RegExp(`^head ${number}$`));
      }
      await node.hear(/^committed/);
      const client = start('ask', programOf('TypeScript'));
      const { code, stderr } = await client.ended;
      assert.equal(code, 0, stderr);
      assert.match(client.lines[0] ?? '', /^[A-Z]\w+ \w+ \w+/, 'words');
      assert.match(client.lines.join('\n'), /^ (stop|length) \[/m);
      await talk();
    } finally {
      node.child.kill('SIGTERM');
    }
    assert.equal((await node.ended).code, 0);
  });
});
