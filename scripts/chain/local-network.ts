// A network of authorities on this machine: each a process of chain/node with keys that everybody knows, all on loopback. For trying what one
// author alone cannot show: real finality, gossip, a lost validator.

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Keyring } from '@polkadot/keyring';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { hex } from '../../src/devchain/hex.ts';
import { findFreePorts } from '../../src/devnet/plan.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { toHex, u64le } from '../../src/util/bytes.ts';
import { ownSpec } from './own-spec.ts';

/** Names that the node has keys for, as flags and as //Name. */
const AUTHORITIES = ['alice', 'bob', 'charlie', 'dave'] as const;
type Authority = (typeof AUTHORITIES)[number];

export interface LocalNetworkOptions {
  /** The node's program. */
  readonly binary: string;
  /** Databases, logs and the spec go here. */
  readonly folder: string;
  /** Milliseconds of a block. */
  readonly slotMs: number;
  /** Laid over the preset `devnet` (chain.md 8). */
  readonly network: Readonly<Record<string, number>>;
}

export interface LocalValidator {
  readonly name: Authority;
  /** ws://127.0.0.1:port */
  readonly endpoint: string;
  /** Resolves when it answers JSON-RPC; rejects when it ends before. */
  start(): Promise<void>;
  /** SIGTERM unless another signal is named; resolves when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Resolves when all answer JSON-RPC; blocks come a few slots later. Rejects when one of them ends before. */
export async function startLocalNetwork(options: LocalNetworkOptions): Promise<readonly LocalValidator[]> {
  await hashingReady();
  mkdirSync(options.folder, { recursive: true });
  const spec = join(options.folder, 'spec.json');
  writeFileSync(spec, await localNetworkSpec(options));
  const ports = await findFreePorts(2 * AUTHORITIES.length, Math.random);
  const first = seedOf('alice');
  const bootnode = `/ip4/127.0.0.1/tcp/${ports[0]}/p2p/${identityFromSeed(first).peer}`;
  const validators = AUTHORITIES.map((name, index) => {
    const [p2p = 0, rpc = 0] = [ports[index], ports[AUTHORITIES.length + index]];
    const args = [
      ...['--chain', spec, '--base-path', join(options.folder, name), `--${name}`, '--validator'],
      ...['--node-key', toHex(seedOf(name)), '--listen-addr', `/ip4/127.0.0.1/tcp/${p2p}`],
      ...(name === 'alice' ? [] : ['--bootnodes', bootnode]),
      ...['--rpc-port', String(rpc), '--state-pruning', 'archive', '--allow-private-ip'],
      ...['--no-mdns', '--no-telemetry', '--no-prometheus'],
    ];
    return createValidator(options, name, args, `ws://127.0.0.1:${rpc}`);
  });
  try {
    await Promise.all(validators.map((validator) => validator.start()));
  } catch (error) {
    await Promise.all(validators.map((validator) => validator.stop()));
    throw error;
  }
  return validators;
}

function seedOf(name: Authority): Uint8Array {
  return new Uint8Array(32).fill(AUTHORITIES.indexOf(name) + 1);
}

/** Public keys of the authorities in their order: sr25519 for Aura, ed25519 for GRANDPA. */
export function authorityKeys(type: 'sr25519' | 'ed25519'): readonly { address: string; publicKey: Uint8Array }[] {
  return AUTHORITIES.map((name) => new Keyring({ type }).addFromUri(`//${name[0]?.toUpperCase()}${name.slice(1)}`));
}

/** The raw spec that every node of such a network starts from. */
export function localNetworkSpec({
  slotMs,
  network,
}: Pick<LocalNetworkOptions, 'slotMs' | 'network'>): Promise<string> {
  const genesis = {
    aura: { authorities: authorityKeys('sr25519').map(({ address }) => address) },
    grandpa: { authorities: authorityKeys('ed25519').map(({ address }) => [address, 1]) },
    network,
  };
  const params = [`:SlotDuration:=${hex(u64le(BigInt(slotMs)))}`, `Timestamp.Now=${hex(u64le(0n))}`];
  return ownSpec('Tessera Local', { genesis: JSON.stringify(genesis), params });
}

function createValidator(
  { binary, folder }: LocalNetworkOptions,
  name: Authority,
  args: readonly string[],
  endpoint: string,
): LocalValidator {
  const log = join(folder, `${name}.log`);
  let running: { readonly child: ChildProcess; readonly gone: Promise<number | null> } | undefined;

  function start(): Promise<void> {
    const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.pipe(createWriteStream(log, { flags: 'a' }));
    const gone = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
    running = { child, gone };
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      gone.then((code) => reject(new Error(`${name} ended with exit code ${code} before it answered: see ${log}`)));
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (line.includes('Running JSON-RPC server')) resolve();
      });
    });
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    running?.child.kill(signal);
    await running?.gone;
  }

  return { name, endpoint, start, stop };
}
