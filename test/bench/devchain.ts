// `npm run bench -- devchain`: how fast the dev chain is: empty blocks that are kept in a file, transfers of one client process, an epoch of a
// subnet with 16 nodes. Beside it chopsticks, where that can run our spec.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openSigner } from '../../src/chain/accounts.ts';
import { openSocket } from '../../src/chain/substrate/rpc-socket.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain, Signer } from '../../src/chain/types.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import type { Epoch, NodeId, SubnetId } from '../../src/types/ids.ts';
import { withDeadline } from '../../src/util/async.ts';
import { errorMessage } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { signTransfers } from '../support/transfers.ts';
import { createReport, type Figure, median } from './figure.ts';
import type { LongChain } from './long-chain-process.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const MAIN = fileURLToPath(new URL('../../bin/tessera.js', import.meta.url));
const PEER_PACKAGE = '@acala-network/chopsticks@1.5.1';
const PATIENCE_MS = 3_000;
const ROUNDS = 5;
const BLOCKS = 200;
const TRANSFERS = 400;
const NODES = 16;
/** Of chain.md 9, on two slow cores. */
const BARS = { emptyBlockMs: 10, transfersPerSecond: 200, epochMs: 1000, resumeMs: 900, memoryMb: 360 } as const;
const LONG = 20_000;
const LONG_PROCESS = fileURLToPath(new URL('./long-chain-process.ts', import.meta.url));
const TENSOR = 10n ** 18n;
const ONE = 10n ** 18n;

type Measured = Pick<Figure, 'samples' | 'quiet' | 'facts'>;

export async function benchDevchain({ folder, json, only, note }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const wants = (name: string) => only === undefined || name.includes(only);
  const add = (name: string, { samples, ...rest }: Measured, of: Pick<Figure, 'unit' | 'bar' | 'better'>) =>
    report.add({ name: `devchain.${name}`, value: median(samples), samples, ...rest, ...of });

  if (wants('empty-block')) {
    const ours = await emptyBlocks();
    const chopsticks = await theirBlocks(folder, note).catch(
      (error: unknown) => `does not run: ${errorMessage(error)}`,
    );
    const perBlock = round(Number(ours.facts?.processorMs) / BLOCKS);
    const measured = { ...ours, facts: { processorMsPerBlock: perBlock, chopsticks } };
    add('empty-block', measured, BLOCK);
  }
  if (wants('transfers'))
    add('transfers', await transfers(), { unit: 'tx/s', bar: BARS.transfersPerSecond, better: 'higher' });
  if (wants('epoch')) add('epoch-of-16', await epochs(), { unit: 'ms', bar: BARS.epochMs, better: 'lower' });
  if (wants('long')) {
    const quiet = await waitForQuiet(PATIENCE_MS);
    const { blockMs, rssMb, transfers: sent, resumeMs, ...processor } = await longChain();
    const facts = { blocks: LONG, transfers: sent };
    add(
      'long.block',
      {
        samples: blockMs.slice(-1),
        quiet,
        facts: { ...facts, first: round(blockMs[0]), processorMs: round(processor.blockProcessorMs) },
      },
      BLOCK,
    );
    const resumed = { ...facts, processorMs: round(processor.resumeProcessorMs) };
    add(
      'long.resume',
      { samples: [resumeMs], quiet, facts: resumed },
      { unit: 'ms', bar: BARS.resumeMs, better: 'lower' },
    );
    const memory = { ...facts, after5000: rssMb[4], after10000: rssMb[9] };
    add(
      'long.memory',
      { samples: rssMb.slice(-1), quiet, facts: memory },
      { unit: 'MB', bar: BARS.memoryMb, better: 'lower' },
    );
  }
  return report.exitCode();
}

const BLOCK = { unit: 'ms', bar: BARS.emptyBlockMs, better: 'lower' } as const;
const round = (value = 0) => Math.round(value * 100) / 100;

async function longChain(): Promise<LongChain> {
  const place = mkdtempSync(join(tmpdir(), 'tessera-bench-'));
  try {
    const out = join(place, 'result.json');
    const signed = await signTransfers(LONG / 20);
    execFileSync(
      process.execPath,
      [LONG_PROCESS, BUNDLED_SPEC, join(place, 'chain.jsonl'), out, String(LONG), ...signed],
      {
        stdio: 'inherit',
      },
    );
    return JSON.parse(readFileSync(out, 'utf8'));
  } finally {
    rmSync(place, { recursive: true });
  }
}

async function sample(rounds: number, run: () => Promise<number>): Promise<Measured> {
  const samples: number[] = [];
  let quiet = true;
  const before = process.cpuUsage();
  for (let round = 0; round <= rounds; round++) {
    quiet = (await waitForQuiet(PATIENCE_MS)) && quiet;
    const value = await run();
    if (round > 0) samples.push(value);
  }
  const { user, system } = process.cpuUsage(before);
  return { samples, quiet, facts: { processorMs: round((user + system) / 1000 / (rounds + 1)) } };
}

async function emptyBlocks(): Promise<Measured> {
  const place = mkdtempSync(join(tmpdir(), 'tessera-bench-'));
  const options = { spec: BUNDLED_SPEC, mode: 'manual', dbFile: join(place, 'chain.jsonl') } as const;
  const chain = await createDevChain(options, { log: silentLog });
  try {
    return await sample(ROUNDS, async () => {
      const started = performance.now();
      await chain.newBlock(BLOCKS);
      return (performance.now() - started) / BLOCKS;
    });
  } finally {
    await chain.close();
    rmSync(place, { recursive: true });
  }
}

/** The dev chain as a process of its own, as in use; the client is this one. */
async function transfers(): Promise<Measured> {
  const child = spawn(process.execPath, [MAIN, 'devchain', '--port', '0', '--block-ms', '500', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const { endpoint } = JSON.parse(await untilLine(child, (line) => line.includes('"chain-ready"')));
    const chain = await connectChain({ endpoints: [String(endpoint)] }, { log: silentLog });
    const [from, to] = [await openSigner('//dev:0'), await openSigner('//dev:9')];
    try {
      const before = processorMs(child);
      const measured = await sample(ROUNDS, async () => {
        const started = performance.now();
        const sent = Array.from({ length: TRANSFERS }, () => chain.transfer(from, to.address, 1n));
        await Promise.all(sent);
        return (TRANSFERS * 1000) / (performance.now() - started);
      });
      const perTransfer = (ms: number) => round(ms / TRANSFERS);
      const clientMs = perTransfer(Number(measured.facts?.processorMs));
      const chainMs = perTransfer((processorMs(child) - before) / (ROUNDS + 1));
      return { ...measured, facts: { processorMsPerTransfer: { client: clientMs, chain: chainMs } } };
    } finally {
      await chain.close();
    }
  } finally {
    await end(child);
  }
}

/** Processor time of a process so far (proc(5), fields 14 and 15 of stat, hundredths of a second); NaN where there is no such thing. */
function processorMs({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
    return 10 * (Number(fields[13]) + Number(fields[14]));
  } catch {
    return Number.NaN;
  }
}

/** Twenty blocks: the elected node proposes, the 15 others attest, the epoch before is settled; a block whenever there is something to include. */
async function epochs(): Promise<Measured> {
  const devChain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'manual' }, { log: silentLog });
  const chain = await connectChain({ endpoints: [devChain.endpoint] }, { log: silentLog });
  try {
    const subnet = await found(devChain, chain);
    return await sample(ROUNDS, async () => {
      const started = performance.now();
      await playEpoch(devChain, chain, subnet);
      return performance.now() - started;
    });
  } finally {
    await chain.close();
    await devChain.close();
  }
}

interface Subnet {
  readonly id: SubnetId;
  readonly slot: number;
  readonly epochLength: number;
  readonly hotkeys: ReadonlyMap<NodeId, Signer>;
}

async function found(devChain: DevChain, chain: Chain): Promise<Subnet> {
  const owner = await openSigner('//dev:0');
  const stop = devChain.authorOnDemand();
  const info = (seed: number) => {
    const { peer } = identityFromSeed(new Uint8Array(32).fill(seed));
    return { peer, multiaddr: `/ip4/127.0.0.1/tcp/30000/p2p/${peer}` };
  };
  const boot = info(200);
  const { subnet: id } = await chain.registerSubnet(owner, {
    name: 'bench',
    repo: 'https://example.org/bench',
    description: '',
    misc: new Uint8Array(),
    minStake: 100n * TENSOR,
    maxStake: 900n * TENSOR,
    delegateStakePercentage: ONE / 10n,
    bootnodes: new Map([[boot.peer, boot.multiaddr]]),
    maxCost: 10n * TENSOR,
  });
  const hotkeys = new Map<NodeId, Signer>();
  for (let index = 0; index < NODES; index++) {
    const hotkey = await openSigner(`//dev:${20 + index}`);
    await chain.transfer(owner, hotkey.address, TENSOR);
    const { node } = await chain.registerNode(owner, {
      subnet: id,
      hotkey: hotkey.address,
      peerInfo: info(1 + index),
      delegateRewardRate: 0n,
      stake: 100n * TENSOR,
      maxBurn: TENSOR,
    });
    await chain.activateNode(hotkey, id, node);
    hotkeys.set(node, hotkey);
  }
  await chain.activateSubnet(owner, id);
  stop();
  const { epochLength } = await chain.info();
  const slot = (await chain.subnet(id))?.slot ?? 0;
  // To the block before the second live epoch: the first one settles nothing.
  const next = Math.ceil((devChain.head().number - slot) / epochLength) + 2;
  await devChain.newBlock(next * epochLength + slot - 1 - devChain.head().number);
  return { id, slot, epochLength, hotkeys };
}

async function playEpoch(devChain: DevChain, chain: Chain, subnet: Subnet): Promise<void> {
  const first = devChain.head().number + 1;
  const epoch = ((first - subnet.slot) / subnet.epochLength) as Epoch;
  await devChain.newBlock();
  await hears(chain, devChain);
  const elected = await chain.electedValidator(subnet.id, epoch);
  const proposer = elected === undefined ? undefined : subnet.hotkeys.get(elected);
  if (proposer === undefined) throw new Error(`nobody is elected in epoch ${epoch}`);
  const scores = [...subnet.hotkeys.keys()].map((nodeId) => ({ nodeId, score: ONE / BigInt(NODES) }));
  const stop = devChain.authorOnDemand();
  await chain.propose(proposer, {
    subnet: subnet.id,
    epoch,
    scores,
    args: new Uint8Array(),
    attestData: new Uint8Array(),
  });
  stop();
  const attests = [...subnet.hotkeys.values()]
    .filter((hotkey) => hotkey !== proposer)
    .map((hotkey) => chain.attest(hotkey, subnet.id, epoch, new Uint8Array()));
  await pooled(devChain, attests.length);
  await devChain.newBlock();
  await Promise.all(attests);
  await devChain.newBlock(first + subnet.epochLength - 1 - devChain.head().number);
  await hears(chain, devChain);
}

async function hears(chain: Chain, devChain: DevChain): Promise<void> {
  for await (const { number } of chain.heads('best', AbortSignal.timeout(20_000)))
    if (number >= devChain.head().number) return;
}

/** Resolves when so many transactions wait. */
async function pooled(devChain: DevChain, count: number): Promise<void> {
  const body = JSON.stringify({ id: 1, method: 'author_pendingExtrinsics', params: [] });
  for (;;) {
    const answer = await fetch(devChain.httpEndpoint, { method: 'POST', body });
    if (((await answer.json()) as { readonly result: readonly string[] }).result.length >= count) return;
  }
}

/** Milliseconds of an empty block of chopsticks on the same spec, blocks on request. Rejects with what it said where it cannot. */
async function theirBlocks(folder: string, note: (line: string) => void): Promise<string> {
  const place = installPeer(join(folder, 'chopsticks'), note);
  const config = join(place, 'tessera.json');
  const port = 28_944;
  writeFileSync(config, JSON.stringify({ genesis: BUNDLED_SPEC, port, 'build-block-mode': 'Manual' }));
  const child = spawn(process.execPath, ['node_modules/@acala-network/chopsticks/chopsticks.cjs', '--config', config], {
    cwd: place,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  try {
    await Promise.race([untilLine(child, (line) => /listening/i.test(line)), ended(child)]);
    const socket = await openSocket(`ws://127.0.0.1:${port}`, AbortSignal.timeout(20_000));
    const head = async () => {
      const { number } = (await socket.send('chain_getHeader', [], AbortSignal.timeout(20_000))) as { number: string };
      return Number(number);
    };
    const measured = await sample(2, async () => {
      const [started, before] = [performance.now(), await head()];
      await socket.send('dev_newBlock', [{ count: 20 }], AbortSignal.timeout(120_000));
      const built = (await head()) - before;
      if (built < 20) throw new Error(`it built ${built} of 20 blocks`);
      return (performance.now() - started) / 20;
    });
    socket.close();
    return `${median(measured.samples).toFixed(1)} ms`;
  } catch (error) {
    const panic = /panicked at [^\n]*\n[^\n]*/.exec(said)?.[0].replace(/\s+/g, ' ');
    throw new Error(
      `${PEER_PACKAGE}: ${errorMessage(error)}${panic === undefined ? '' : `; the runtime under it ${panic}`}`,
    );
  } finally {
    await end(child);
  }
}

function installPeer(place: string, note: (line: string) => void): string {
  if (existsSync(join(place, 'node_modules/@acala-network/chopsticks'))) return place;
  note(`installing ${PEER_PACKAGE} into ${place} (for this benchmark only) ...`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{"private":true}\n');
  execFileSync('npm', ['install', PEER_PACKAGE, '--no-audit', '--no-fund'], { cwd: place, stdio: 'ignore' });
  return place;
}

async function untilLine(child: ChildProcess, fits: (line: string) => boolean): Promise<string> {
  if (child.stdout === null) throw new Error('no output to read');
  const stop = withDeadline(undefined, 120_000);
  for await (const line of createInterface({ input: child.stdout, signal: stop })) if (fits(line)) return line;
  throw new Error('it ended before it was ready');
}

async function ended(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit');
  throw new Error(`it ended with exit code ${code}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(hard);
}
