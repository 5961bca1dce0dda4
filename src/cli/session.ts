// What most commands begin with: the chain, the model, the accounts and the node that the options name. Errors say what to do.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSigner, readAccountAddress } from '../chain/accounts.ts';
import { connectChain } from '../chain/substrate.ts';
import type { Chain, Signer, Subnet, SubnetNode } from '../chain/types.ts';
import type { HandoverOptions } from '../client/handover.ts';
import { type Model, openModel } from '../model/open.ts';
import type { Values } from '../node/options.ts';
import { type OpenIdentity, openIdentity, readIdentityPeer } from '../p2p/identity.ts';
import type { Address, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { Log } from '../util/log.ts';
import type { AskPassphrase } from '../util/sealed.ts';
import { StandingError, UsageError } from './exit.ts';

export const BUNDLED_MODEL = fileURLToPath(new URL('../../models/tiny', import.meta.url));

/** Connects, hands the chain to `use`, and closes it whatever happens. */
export async function withChain<T>(
  context: { readonly options: { readonly rpc: readonly string[] }; readonly log: Log; readonly signal: AbortSignal },
  use: (chain: Chain) => Promise<T>,
): Promise<T> {
  const chain = await connectChain(
    { endpoints: context.options.rpc },
    { log: context.log.child('chain') },
    context.signal,
  );
  try {
    return await use(chain);
  } finally {
    await chain.close();
  }
}

/** What a client gives to auditors; undefined: nothing. */
export function handOverOption(options: Values<'hand-over' | 'hand-share'>): HandoverOptions | undefined {
  const what = options['hand-over'];
  return what === 'none' ? undefined : { what, share: options['hand-share'] };
}

export function openModelOption(folder: string | undefined): Promise<Model> {
  return openModel(folder ?? BUNDLED_MODEL);
}

export async function signerOption(
  name: 'coldkey' | 'hotkey',
  value: string | undefined,
  ask: AskPassphrase,
): Promise<Signer> {
  if (value === undefined)
    throw new UsageError(
      `--${name} is needed: a key file (see tessera keygen --accounts), or //dev:N on a development chain`,
    );
  return openSigner(value, ask);
}

/** The address of an account that need not sign: typed as 0x..., or that of a key. */
export async function addressOption(
  name: 'coldkey' | 'hotkey' | 'new-coldkey' | 'new-hotkey' | 'to' | 'initial-coldkeys',
  value: string,
): Promise<Address> {
  if (value.startsWith('//')) return (await openSigner(value)).address;
  if (!/^0x[0-9a-fA-F]*$/.test(value)) return readAccountAddress(value).address;
  if (value.length !== 42) throw new UsageError(`--${name} ${value} is not an address: 0x and 40 hex digits`);
  return value.toLowerCase() as Address;
}

export async function requireSubnet(chain: Chain, id: number, signal: AbortSignal): Promise<Subnet> {
  const subnet = await chain.subnet(id as SubnetId, undefined, signal);
  if (subnet !== undefined) return subnet;
  throw new StandingError(
    { code: 'NOT_REGISTERED', subnet: id },
    `there is no subnet ${id} on this chain; register one with tessera register-subnet, or name another with --subnet-id`,
  );
}

/** The node that an owner means: by --subnet-node-id, or by --hotkey (a key or just its address). */
export async function nodeOption(
  chain: Chain,
  subnet: SubnetId,
  options: { readonly 'subnet-node-id': number | undefined; readonly hotkey: string | undefined },
  signal: AbortSignal,
): Promise<SubnetNode> {
  const { 'subnet-node-id': id, hotkey } = options;
  if (id === undefined && hotkey === undefined)
    throw new UsageError('say which node: --subnet-node-id N, or --hotkey with its key or address');
  const node =
    id === undefined
      ? await chain.nodeByHotkey(subnet, await addressOption('hotkey', hotkey ?? ''), undefined, signal)
      : await chain.node(subnet, id as NodeId, undefined, signal);
  if (node !== undefined) return node;
  throw new StandingError(
    { code: 'NOT_REGISTERED', subnet },
    `${id === undefined ? `hotkey ${hotkey}` : `node ${id}`} has no node in subnet ${subnet}; tessera status lists them`,
  );
}

/**
 * The node that --subnet-node-id or the hotkey names.
 *
 * @param by.peer of this machine: where its node has another hotkey by now, that is said
 */
export async function requireNode(
  chain: Chain,
  subnet: SubnetId,
  by: { readonly nodeId: number | undefined; readonly hotkey: Signer; readonly peer?: PeerId },
  signal: AbortSignal,
): Promise<SubnetNode> {
  const node =
    by.nodeId === undefined
      ? await chain.nodeByHotkey(subnet, by.hotkey.address, undefined, signal)
      : await chain.node(subnet, by.nodeId as NodeId, undefined, signal);
  if (node === undefined) {
    const who = by.nodeId === undefined ? `hotkey ${by.hotkey.address}` : `node ${by.nodeId}`;
    const here = by.peer === undefined ? undefined : await chain.nodeByPeerId(subnet, by.peer, undefined, signal);
    if (here !== undefined)
      throw new StandingError(
        { code: 'NOT_REGISTERED', subnet },
        `${who} is not registered in subnet ${subnet}, but the peer of this machine is: as node ${here.id}, whose hotkey is ${here.hotkey}; name that key with --hotkey`,
      );
    throw new StandingError(
      { code: 'NOT_REGISTERED', subnet },
      `${who} is not registered in subnet ${subnet}; register it with tessera register-subnet-node`,
    );
  }
  if (node.hotkey !== by.hotkey.address) {
    throw new StandingError(
      { code: 'NOT_REGISTERED', subnet },
      `node ${node.id} belongs to hotkey ${node.hotkey}, not to ${by.hotkey.address}; check --hotkey and --subnet-node-id`,
    );
  }
  return node;
}

/** Where the identity of this machine's node lies. */
export function identityFile(given: string | undefined, dataDir: string, name = 'peer_id'): string {
  return given ?? join(dataDir, 'keys', name);
}

/** Opens the identity of this machine; a passphrase is asked for only where it is encrypted. */
export async function unlockIdentity(file: string, ask: AskPassphrase): Promise<OpenIdentity> {
  return readIdentityPeer(file).isEncrypted ? openIdentity(file, await ask(file)) : openIdentity(file);
}

/** The peer at the end of a boot node's address. */
export function peerOfBootnode(multiaddr: string): PeerId {
  const peer = /\/p2p\/([1-9A-HJ-NP-Za-km-z]+)$/.exec(multiaddr)?.[1];
  if (peer === undefined) throw new UsageError(`--bootnode ${multiaddr} must end in /p2p/<peer id>`);
  return peer as PeerId;
}

/** The multiaddr with the peer id at its end, as the chain wants it. */
export function withPeer(multiaddr: string, peer: string): string {
  return multiaddr.endsWith(`/p2p/${peer}`) ? multiaddr : `${multiaddr}/p2p/${peer}`;
}
