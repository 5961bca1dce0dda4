// The main promise: one command, a whole network on real parts. Every process here is the one that a person starts.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { on } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ApiPromise, WsProvider } from '@polkadot/api';
import { connectChain } from '../../src/chain/substrate.ts';
import { openModelOption } from '../../src/cli/session.ts';
import { createNetworkClient } from '../../src/node/network-client.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import type { SubnetId } from '../../src/types/ids.ts';
import { toHex, utf8 } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { silentLog } from '../../src/util/log.ts';
import { recordTopic } from '../../src/validator/topic.ts';
import { decodeRecord, signedMessage } from '../../src/wire/record.ts';
import { type Running, runCli, startCli, stopCli } from '../support/cli.ts';

interface Epoch {
  readonly epoch: number;
  readonly scored: number;
  readonly outcome: string;
  readonly proposer: number;
  readonly attestations: number;
  readonly validators: number;
  readonly scores: readonly { readonly node: number; readonly score: string }[];
}

const PROMPT = 'Once upon a time';

/** Minutes: a slow machine stretches the blocks, it does not fail. */
const PATIENCE_MS = 8 * 60_000;

describe('devnet', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let net: Running | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-e2e-'));
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed' && net !== undefined) {
      const ended = net.lines.filter(({ event }) => event === 'node-stopped').map((line) => JSON.stringify(line));
      process.stderr.write(`${[...ended, net.told().slice(-3000)].join('\n')}\n`);
    }
    if (net !== undefined) await stopCli(net);
    net = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  it('answers a prompt over several hosters and settles epochs that anybody can read', async () => {
    net = startCli([
      'devnet',
      '--epochs',
      '3',
      '--block-ms',
      '300',
      '--rpc-port',
      '0',
      '--prompt',
      PROMPT,
      '--json',
      '--data-dir',
      folder,
    ]);
    const ready = await net.waitFor((line) => line.event === 'chain-ready');
    const generated = await net.waitFor((line) => line.event === 'generated');
    const settled = (await net.waitFor((line) => line.event === 'epoch-settled')) as unknown as Epoch;
    const seen = await readWithPolkadotOnly(String(ready.endpoint), settled.epoch);
    assert.deepEqual(seen, settled.scores, 'plain @polkadot/api reads the scores that the summary tells');

    const { code, lines, stderr } = await net.finished;
    assert.equal(code, 0, stderr);
    const summary = lines.find((line) => line.event === 'summary');
    assertEpochs(summary?.epochs as Epoch[], summary);
    const route = generated.route as { peer: string }[];
    assert.ok(new Set(route.map((hop) => hop.peer)).size >= 2, 'at least two peers serve the prompt');

    const local = await runCli(['generate', '--local', PROMPT, '--json', '--data-dir', folder]);
    assert.deepEqual(generated.tokens, local.lines[0]?.tokens, 'the network and one process give the same tokens');
    assert.match(String(generated.text), /[a-z]+ [a-z]+.*\.$/su, 'text that ends with a sentence');
  });

  it('goes on when a hoster is killed, and takes it back; killed twice it signs nothing twice', async () => {
    net = startCli(['devnet', '--block-ms', '300', '--rpc-port', '0', '--json', '--data-dir', folder]);
    const { endpoint } = await net.waitFor((line) => line.event === 'chain-ready');
    await net.waitFor((line) => line.event === 'node-active' && line.id === 5);
    await using witness = await hearRecords(String(endpoint));
    await net.waitFor((line) => line.event === 'epoch-settled');
    const answer = await net.waitFor((line) => line.event === 'generated');

    const asker = ['--rpc', String(endpoint), '--data-dir', join(folder, 'asker')];
    const disturbed = startCli(['generate', PROMPT, '--log-level', 'debug', ...asker]);
    await textLongerThan(disturbed, 2 * PROMPT.length);
    const dead = Math.max(...routeOf(disturbed.told()));
    const victim = net.lines.find((line) => line.event === 'node-active' && line.id === dead) ?? assert.fail();
    process.kill(Number(victim.pid), 'SIGKILL');
    const { code, stdout, stderr } = await disturbed.finished;
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${PROMPT}${answer.text}\n`, 'killed in mid sentence, the same words');
    assert.match(stderr, /hop failed/);
    await net.waitFor((line) => line.event === 'node-stopped' && line.id === dead);

    const asked = await runCli(['generate', PROMPT, '--json', ...asker]);
    assert.equal(asked.code, 0, asked.stderr);
    const around = asked.lines[0]?.route as { node: number }[];
    assert.ok(around.every((hop) => hop.node !== dead));
    assert.deepEqual(asked.lines[0]?.tokens, answer.tokens);

    const without = await nextEpochs(net, 2);
    for (const epoch of without)
      assert.equal(epoch.outcome, epoch.proposer === dead ? 'Absent' : 'Accepted', told(folder, epoch));

    // The very command that the devnet printed, with the same data directory.
    const words = String(victim.command).replace('npm run node -- ', '').split(' ');
    const killed = startCli(words);
    const { epoch: committed } = await killed.waitFor((line) => line.event === 'committed');
    process.kill(Number(killed.child.pid), 'SIGKILL');
    await killed.finished;
    const again = startCli(words);
    try {
      await again.waitFor((line) => line.event === 'committed' && Number(line.epoch) > Number(committed));
      const back = await epochThat(net, (epoch) => epoch.outcome === 'Accepted' && scoreOf(epoch, dead) > 0n);
      assert.ok(scoreOf(back, dead) > 0n);
      const own = [...witness.payloads].filter(([slot]) => slot.startsWith(`${dead} `));
      const kinds = new Set(own.map(([slot]) => slot.split(' ')[1]));
      assert.deepEqual([...kinds].filter((kind) => kind !== 'pr').sort(), ['hc', 'hr', 'sc', 'sr', 'wa', 'wb']);
      for (const [slot, payloads] of own) assert.equal(payloads.size, 1, `two payloads for ${slot}`);
    } finally {
      await stopCli(again);
    }
  });

  it('settles also beside two busy processes', async () => {
    const busy = [0, 1].map(() => spawn(process.execPath, ['-e', 'for(;;);']));
    try {
      net = startCli([
        'devnet',
        '--epochs',
        '1',
        '--block-ms',
        '300',
        '--rpc-port',
        '0',
        '--json',
        '--data-dir',
        folder,
      ]);
      const { code, stderr, lines } = await net.finished;
      assert.equal(code, 0, stderr);
      assertEpochs(lines.find((line) => line.event === 'summary')?.epochs as Epoch[], 'beside busy processes', 1);
    } finally {
      for (const child of busy) child.kill('SIGKILL');
    }
  });
});

/** Hears what goes over the topic of records under the names and keys of nodes: the distinct payloads of each node, kind and epoch. */
async function hearRecords(endpoint: string): Promise<AsyncDisposable & { readonly payloads: Payloads }> {
  const payloads = new Map<string, Set<string>>();
  const chain = await connectChain({ endpoints: [endpoint] }, { log: silentLog });
  const subnet = (await chain.subnet(128_001 as SubnetId)) ?? assert.fail('no subnet');
  const peers = new Map((await chain.nodes(subnet.id)).map(({ id, peerInfo }) => [id, peerInfo.peer]));
  const model = await openModelOption(undefined);
  const identity = identityFromSeed(sha256(utf8('who listens')));
  const ending = new AbortController();
  const parts = { chain, subnet, model, identity, log: silentLog };
  const network = await createNetworkClient({ initialPeers: [], listening: true }, parts, ending.signal);
  network.overlay.subscribe(recordTopic(subnet.id), async (message) => {
    const decoded = decodeRecord(message);
    if (!decoded.ok) return 'accept';
    const { body, bodyBytes, signature, id } = decoded.record;
    const peer = peers.get(body.node);
    if (peer === undefined || !verifySignature(peer, signedMessage(bodyBytes), signature)) return 'accept';
    const slot = `${body.node} ${body.kind} ${body.epoch}`;
    payloads.set(slot, (payloads.get(slot) ?? new Set()).add(toHex(id)));
    return 'accept';
  });
  return {
    payloads,
    async [Symbol.asyncDispose]() {
      ending.abort();
      await network.close();
      await chain.close();
    },
  };
}

type Payloads = ReadonlyMap<string, ReadonlySet<string>>;

function assertEpochs(epochs: readonly Epoch[], context: unknown, least = 3): void {
  assert.ok(epochs.length >= least, JSON.stringify(context));
  for (const epoch of epochs) {
    assert.ok(epoch.attestations / epoch.validators >= 0.66, JSON.stringify(epoch));
    assert.deepEqual(
      epoch.scores.filter(({ score }) => BigInt(score) > 0n).map(({ node }) => node),
      [1, 2, 3, 4, 5],
      'every honest node has a score',
    );
  }
}

async function readWithPolkadotOnly(endpoint: string, epoch: number): Promise<{ node: number; score: string }[]> {
  const api = await connectPlainly(endpoint);
  try {
    const node = (await api.query.network?.subnetNodesData?.(128_001, 1))?.toJSON() as { id: number } | null;
    assert.equal(node?.id, 1);
    const submission = await api.query.network?.subnetConsensusSubmission?.(128_001, epoch);
    const found = submission?.toJSON() as { data: { subnetNodeId: number; score: string | number }[] } | undefined;
    return (found?.data ?? []).map(({ subnetNodeId, score }) => ({
      node: subnetNodeId,
      score: BigInt(score).toString(),
    }));
  } finally {
    await api.disconnect();
  }
}

/** As in the README; the cast is about polkadot.js's own types only. */
function connectPlainly(endpoint: string): Promise<ApiPromise> {
  return ApiPromise.create({ provider: new WsProvider(endpoint) as never, noInitWarn: true });
}

/** The nodes that a client under way has said it goes over. */
function routeOf(log: string): number[] {
  const [line] = log.split('\n').filter((text) => text.includes('"route"'));
  return (JSON.parse(line ?? '{"nodes":[]}') as { nodes: number[] }).nodes;
}

/** Resolves when an answer that streams has come that far. */
async function textLongerThan({ child, told }: Running, length: number): Promise<void> {
  let seen = 0;
  for await (const [chunk] of on(child.stdout as Readable, 'data', { close: ['end'] })) {
    seen += (chunk as Buffer).length;
    if (seen > length) return;
  }
  throw new Error(`the answer ended after ${seen} bytes; stderr: ${told().slice(-2000)}`);
}

function scoreOf(epoch: Epoch, node: number): bigint {
  return BigInt(epoch.scores.find((entry) => entry.node === node)?.score ?? 0);
}

/** What happened in an epoch, and what each node kept of it and the one before. */
function told(folder: string, epoch: Epoch): string {
  const files = globSync(join(folder, 'nodes', '*', 'logs', 'epochs.json'));
  return [JSON.stringify(epoch), ...files.map((file) => `${file}: ${readFileSync(file, 'utf8')}`)].join('\n');
}

/** The next settled epochs from now on. */
async function nextEpochs(net: Running, count: number): Promise<Epoch[]> {
  const known = net.lines.filter((line) => line.event === 'epoch-settled').length;
  await net.waitFor(() => net.lines.filter((line) => line.event === 'epoch-settled').length >= known + count);
  return net.lines.filter((line) => line.event === 'epoch-settled').slice(known, known + count) as unknown as Epoch[];
}

/** The first settled epoch from now on that fits, within ten. */
async function epochThat(net: Running, fits: (epoch: Epoch) => boolean): Promise<Epoch> {
  for (let tries = 0; tries < 10; tries += 1) {
    const [epoch] = await nextEpochs(net, 1);
    if (epoch !== undefined && fits(epoch)) return epoch;
  }
  throw new Error('no such epoch among ten');
}
