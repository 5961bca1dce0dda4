// What to type next, whole: with what was typed on this line and is needed on the next one too.

import type { SubnetNode } from '../chain/types.ts';

interface Said {
  readonly options?: { readonly rpc?: readonly string[]; readonly 'subnet-id'?: number };
  source?(name: 'rpc' | 'subnet-id'): string;
  readonly dataDir: string;
  readonly dataDirGiven: boolean;
}

type Flags = Readonly<Record<string, string | number | undefined>>;

/** @param flags of the next command; those without a value are left out */
export function nextCommand(command: string, flags: Flags, said: Said): string {
  const { options, dataDir, dataDirGiven } = said;
  const typed = (name: 'rpc' | 'subnet-id'): boolean => said.source?.(name) === `--${name}`;
  const all: Flags = {
    ...flags,
    'data-dir': dataDirGiven ? dataDir : undefined,
    rpc: typed('rpc') ? options?.rpc?.join(',') : undefined,
    'subnet-id': flags['subnet-id'] ?? (typed('subnet-id') ? options?.['subnet-id'] : undefined),
  };
  const words = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${quoted(String(value))}`],
  );
  return ['tessera', command, ...words].join(' ');
}

/** How a node is started that the chain knows by this address. */
export function nextRun({ peerInfo }: SubnetNode, hotkey: string | undefined, said: Said): string {
  return nextCommand('run', { hotkey, ...listenFlags(peerInfo.multiaddr) }, said);
}

/** On all addresses where others come from elsewhere: the announced one may be a router's. */
function listenFlags(multiaddr: string | undefined): Flags {
  const [, address = '', ip = '', port = ''] = /^(\/ip4\/([\d.]+)\/tcp\/(\d+))/.exec(multiaddr ?? '') ?? [];
  if (address === '') return {};
  return ip.startsWith('127.')
    ? { 'host-maddrs': address }
    : { 'host-maddrs': `/ip4/0.0.0.0/tcp/${port}`, 'announce-maddrs': address };
}

/** As a shell takes it for one word. */
function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
