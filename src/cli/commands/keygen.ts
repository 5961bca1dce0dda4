// `tessera keygen`: the identities of a node, and with --accounts its accounts on the chain. Never overwrites a key.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createAccountFile } from '../../chain/accounts.ts';
import { createIdentityFile } from '../../p2p/identity.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { table } from '../io.ts';

const IDENTITIES = ['peer_id', 'bootstrap_peer_id', 'client_peer_id'] as const;
const ACCOUNTS = ['hotkey', 'coldkey'] as const;

export const keygen = defineCommand({
  name: 'keygen',
  describe: 'make the keys of a node',
  examples: ['tessera keygen --accounts --data-dir ~/.tessera'],
  options: ['accounts'],
  async run({ options, dataDir, io }) {
    const folder = join(dataDir, 'keys');
    assertAbsent(
      [...IDENTITIES, ...(options.accounts ? ACCOUNTS.map((name) => `${name}.json`) : [])].map((name) =>
        join(folder, name),
      ),
    );
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const peers = IDENTITIES.map((name) => ({ name, id: createIdentityFile(join(folder, name)).peer as string }));
    const accounts = options.accounts
      ? ACCOUNTS.map((name) => ({ name, id: createAccountFile(join(folder, `${name}.json`)) as string }))
      : [];
    const made = [...peers, ...accounts];
    io.result(
      { event: 'keys', folder, ...Object.fromEntries(made.map(({ name, id }) => [name, id])) },
      table(made.map(({ name, id }) => [name, id])),
    );
    io.note(`Keys are in ${folder} (readable by you alone). Back them up together with journal.sqlite.`);
    io.note('Next: tessera register-subnet-node --coldkey <owner> --hotkey <account of this node> --stake 100');
  },
});

/** Before the first key is made: half a set of keys helps nobody. */
function assertAbsent(files: readonly string[]): void {
  const there = files.filter((file) => existsSync(file));
  if (there.length > 0)
    throw new UsageError(
      `${there.join(', ')} already there; keys are never overwritten: name another --data-dir or move them away`,
    );
}
