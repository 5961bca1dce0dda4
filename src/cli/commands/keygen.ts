// `tessera keygen`: the identities of a node, and with --accounts its accounts on the chain. Never overwrites a key.

import { existsSync, mkdirSync } from 'node:fs';
import { createAccountFile } from '../../chain/accounts.ts';
import { createIdentityFile } from '../../p2p/identity.ts';
import { createNetworkKey } from '../../p2p/network-key.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { type Io, table } from '../io.ts';
import { ACCOUNTS, IDENTITIES, keyFile, keyFolder } from '../key-files.ts';
import { nextCommand } from '../next.ts';
import { newPassphrase } from '../passphrase.ts';

export const keygen = defineCommand({
  name: 'keygen',
  describe: 'make the keys of a node',
  examples: [
    'tessera keygen --accounts --encrypt',
    'tessera keygen --passphrase-file /run/secrets/tessera --data-dir /var/lib/tessera',
  ],
  options: ['accounts', 'encrypt', 'network-key'],
  async run({ options, dataDir, dataDirGiven, io }) {
    if (options['network-key'] !== undefined) return makeNetworkKey(options['network-key'], io);
    const folder = keyFolder(dataDir);
    assertAbsent([...IDENTITIES, ...(options.accounts ? ACCOUNTS : [])].map((name) => keyFile(dataDir, name)));
    const isEncrypted = options.encrypt || options['passphrase-file'] !== undefined;
    const passphrase = isEncrypted ? await newPassphrase(options['passphrase-file']) : undefined;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const peers = IDENTITIES.map((name) => ({
      name,
      id: createIdentityFile(keyFile(dataDir, name), { passphrase }).peer as string,
    }));
    const accounts = options.accounts
      ? ACCOUNTS.map((name) => ({ name, id: createAccountFile(keyFile(dataDir, name), { passphrase }) as string }))
      : [];
    const made = [...peers, ...accounts];
    io.result(
      { event: 'keys', folder, ...Object.fromEntries(made.map(({ name, id }) => [name, id])) },
      table(made.map(({ name, id }) => [name, id])),
    );
    const how = isEncrypted
      ? 'encrypted; without the passphrase they are lost'
      : 'not encrypted, readable by you alone';
    io.note(`Keys are in ${folder} (${how}). Back them up: tessera keys backup --out FILE`);
    if (options.accounts) io.note('Keep coldkey.json on another machine: a node needs only the hotkey.');
    const next = (command: string, flags: Readonly<Record<string, string>>): string =>
      nextCommand(command, flags, { dataDir, dataDirGiven });
    const here = { 'announce-maddrs': '/ip4/127.0.0.1/tcp/31330' };
    io.note(
      `Next, into a subnet: ${next('register-subnet-node', { coldkey: 'OWNER', hotkey: 'ACCOUNT', 'announce-maddrs': 'ADDRESS' })}`,
    );
    io.note(
      `Next, on a development chain without a subnet: ${next('register-subnet', { coldkey: '//dev:0', ...here })}`,
    );
  },
});

/** Not one of a node's own keys: the owner of a private network makes it and gives it out. */
function makeNetworkKey(file: string, io: Io): void {
  assertAbsent([file]);
  createNetworkKey(file);
  io.result({ event: 'network-key', file }, `network key ${file}`);
  io.note('Give it to the nodes and clients of your private network alone; each names it with --network-key.');
}

/** Before the first key is made: half a set of keys helps nobody. */
function assertAbsent(files: readonly string[]): void {
  const there = files.filter((file) => existsSync(file));
  if (there.length > 0)
    throw new UsageError(
      `${there.join(', ')} already there; keys are never overwritten: name another --data-dir or move them away`,
    );
}
