// `tessera keys list|import|export|backup|restore`: the keys of a data directory, in our forms and others', and all of them with the
// journal in one encrypted file. No secret is ever printed.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { identityFromSeed } from '../../p2p/identity.ts';
import { exportJournal, type Interchange, importJournal, parseInterchange } from '../../store/interchange.ts';
import { createJournal, journalGenesis } from '../../store/sqlite.ts';
import type { Hash } from '../../types/ids.ts';
import { toHex, utf8 } from '../../util/bytes.ts';
import { CodedError } from '../../util/errors.ts';
import { SEALED, seal, unseal } from '../../util/sealed.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { table } from '../io.ts';
import { isIdentity, type KeyName, keyFile, keyNameOf, listKeys, readSecret, writeKey } from '../key-files.ts';
import { createAsk, newPassphrase } from '../passphrase.ts';
import { writeSecretFile } from '../secret-file.ts';

const OPTIONS = ['in', 'out', 'form', 'derivation', 'encrypt', 'from-passphrase-file'] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

class BackupError extends CodedError<{ readonly code: 'BACKUP_INVALID'; readonly file: string }> {}

/** Epochs of the journal in a backup: more than the chain keeps, so older slots can never matter again. */
const BACKUP_EPOCHS = 128;

export const keys = defineCommand({
  name: 'keys',
  describe: 'list, import, export, back up and restore keys',
  examples: [
    'tessera keys list',
    'tessera keys import hotkey --in exported-by-polkadot.json --encrypt',
    "tessera keys import coldkey --in words.txt --derivation \"m/44'/60'/0'/0/0\" --encrypt",
    'tessera keys export peer_id --form raw32 --out seed.bin',
    'tessera keys backup --out tessera-backup.json     # stop the node first: the journal goes with the keys',
    'tessera keys restore --in tessera-backup.json --data-dir /var/lib/tessera',
  ],
  options: OPTIONS,
  actions: {
    list: 'what is there, encrypted or not',
    import: 'NAME --in FILE: a key in any known form becomes a key of this data directory',
    export: 'NAME --out FILE [--form encrypted|plain|raw32|raw64]',
    backup: '--out FILE: all keys and the journal, encrypted',
    restore: '--in FILE: into a data directory without keys',
  },
  positional: 'name',
  async run(context) {
    switch (context.action) {
      case 'import':
        return importKey(context);
      case 'export':
        return exportKey(context);
      case 'backup':
        return backup(context);
      case 'restore':
        return restore(context);
      default:
        return list(context);
    }
  },
});

async function list({ dataDir, io }: Context): Promise<void> {
  const found = listKeys(dataDir);
  for (const key of found) if (io.json) io.result({ event: 'key', ...key }, '');
  if (!io.json && found.length > 0)
    io.result(
      {},
      table(found.map((key) => [key.name, key.id || '-', key.isEncrypted ? 'encrypted' : 'plain', key.file])),
    );
  for (const { problem } of found) if (problem !== undefined) io.note(`Problem: ${problem}`);
  const [hotkey, coldkey] = ['hotkey', 'coldkey'].map((name) => found.find((key) => key.name === name));
  if (hotkey !== undefined && hotkey.id === coldkey?.id)
    io.note('Problem: hotkey and coldkey are the same account; the chain refuses that. Make another hotkey.');
  if (coldkey !== undefined)
    io.note('The coldkey is on this machine: a node needs only the hotkey. Keep the coldkey somewhere else.');
  io.note(found.length === 0 ? 'No keys here. Next: tessera keygen' : 'Next: tessera keys backup --out FILE');
}

async function importKey({ options, text, dataDir, io }: Context): Promise<void> {
  const name = keyNameOf(text);
  const from = needFile(options.in, '--in');
  const secret = await readSecret(
    from,
    name,
    createAsk(options['from-passphrase-file'], '--from-passphrase-file'),
    options.derivation,
  );
  const file = keyFile(dataDir, name);
  const id = writeKey(file, name, secret, await chosenPassphrase(options));
  io.result({ event: 'key-imported', name, file, id }, `${name} ${id} written to ${file}`);
  io.note(`Next: remove ${from} from this machine, and tessera keys backup`);
}

async function exportKey({ options, text, dataDir, ask, io }: Context): Promise<void> {
  const name = keyNameOf(text);
  const out = needFile(options.out, '--out');
  const secret = await readSecret(keyFile(dataDir, name), name, ask);
  const id = await writeForm(out, name, secret, options);
  io.result({ event: 'key-exported', name, file: out, id, form: options.form }, `${name} ${id} written to ${out}`);
  if (options.form !== 'encrypted') io.note(`${out} is not encrypted: whoever reads it is this node.`);
}

async function writeForm(
  out: string,
  name: KeyName,
  secret: Uint8Array,
  options: { readonly form: 'encrypted' | 'plain' | 'raw32' | 'raw64'; readonly 'passphrase-file': string | undefined },
): Promise<string> {
  if (options.form === 'encrypted' || options.form === 'plain') {
    const passphrase = options.form === 'plain' ? undefined : await newPassphrase(options['passphrase-file']);
    return writeKey(out, name, secret, passphrase);
  }
  if (!isIdentity(name)) {
    if (options.form === 'raw64') throw new UsageError('--form raw64 is for identities; accounts have 32 bytes: raw32');
    writeSecretFile(out, `0x${toHex(secret)}\n`);
    return name;
  }
  const { peer, protobuf } = identityFromSeed(secret);
  writeSecretFile(out, options.form === 'raw32' ? secret : protobuf.subarray(protobuf.length - 64));
  return peer;
}

async function chosenPassphrase(options: {
  readonly encrypt: boolean;
  readonly 'passphrase-file': string | undefined;
}): Promise<string | undefined> {
  const isWanted = options.encrypt || options['passphrase-file'] !== undefined;
  return isWanted ? newPassphrase(options['passphrase-file']) : undefined;
}

const CONTENT = z.strictObject({
  keys: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
  journal: z.unknown(),
});
const BACKUP = z.object({ type: z.literal('tessera-backup'), version: z.literal(1), crypto: SEALED });

async function backup({ options, dataDir, ask, io }: Context): Promise<void> {
  const out = needFile(options.out, '--out');
  const found = listKeys(dataDir);
  if (found.length === 0) throw new UsageError(`there are no keys in ${dataDir}`);
  const secrets: Record<string, string> = {};
  for (const { name, file } of found) secrets[name] = toHex(await readSecret(file, name, ask));
  const journal = readJournal(dataDir);
  const content = utf8(JSON.stringify({ keys: secrets, journal }));
  const crypto = seal(content, await newPassphrase(options['passphrase-file']));
  writeSecretFile(out, `${JSON.stringify({ type: 'tessera-backup', version: 1, crypto })}\n`);
  const signed = journal?.signed.length ?? 0;
  io.result(
    { event: 'backup', file: out, keys: found.map(({ name }) => name), signed },
    `${found.length} keys and ${signed} signed slots written to ${out}, encrypted`,
  );
  io.note(
    'Next: keep it off this machine. It grows old with every epoch: see "Backup, and moving a node" in docs/operators.md.',
  );
}

/** Null for a node that never signed anything. */
function readJournal(dataDir: string): Interchange | null {
  const file = join(dataDir, 'journal.sqlite');
  if (!existsSync(file)) return null;
  const genesis = journalGenesis(file);
  const journal = createJournal({ file, genesis });
  try {
    return recent(exportJournal(journal, genesis));
  } finally {
    journal.close();
  }
}

function recent({ metadata, signed, openings }: Interchange): Interchange {
  const last = Math.max(0, ...signed.map(({ epoch }) => epoch));
  const isRecent = ({ epoch }: { readonly epoch: number }) => epoch > last - BACKUP_EPOCHS;
  return { metadata, signed: signed.filter(isRecent), openings: openings.filter(isRecent) };
}

async function restore({ options, dataDir, ask, io }: Context): Promise<void> {
  const from = needFile(options.in, '--in');
  const there = listKeys(dataDir);
  if (there.length > 0)
    throw new UsageError(`${dataDir} has keys already; restore into another --data-dir, or move them away`);
  const { keys: secrets, journal } = await openBackup(from, await ask(from));
  const passphrase = options.encrypt ? await ask(from) : undefined;
  const names = Object.keys(secrets).map(keyNameOf);
  for (const name of names)
    writeKey(keyFile(dataDir, name), name, new Uint8Array(Buffer.from(secrets[name] ?? '', 'hex')), passphrase);
  const lastEpoch = journal === undefined ? undefined : restoreJournal(dataDir, journal);
  io.result({ event: 'restored', keys: names, lastEpoch }, `${names.join(', ')} restored to ${dataDir}`);
  io.note(waitWarning(lastEpoch));
}

async function openBackup(file: string, passphrase: string) {
  const invalid = (why: string, cause?: unknown) =>
    new BackupError({ code: 'BACKUP_INVALID', file }, `${file} is not a backup of Tessera: ${why}`, { cause });
  const parsed = BACKUP.safeParse(readJson(file));
  if (!parsed.success) throw invalid('it must be the file that `tessera keys backup` wrote');
  const content = CONTENT.safeParse(JSON.parse(new TextDecoder().decode(unseal(parsed.data.crypto, passphrase, file))));
  if (!content.success) throw invalid('what it holds cannot be read');
  if (content.data.journal === null) return { keys: content.data.keys, journal: undefined };
  const journal = parseInterchange(content.data.journal);
  if (!journal.ok) throw invalid(`its journal cannot be read (${journal.why})`);
  return { keys: content.data.keys, journal: journal.interchange };
}

/** Errors: those of reading; what is no JSON is undefined. */
function readJson(file: string): unknown {
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function restoreJournal(dataDir: string, interchange: Interchange): number | undefined {
  const genesis = interchange.metadata.genesis as Hash;
  const journal = createJournal({ file: join(dataDir, 'journal.sqlite'), genesis });
  try {
    return importJournal(journal, interchange).lastEpoch;
  } finally {
    journal.close();
  }
}

/** What was signed after the copy was made is not in it: two epochs later nothing of that time can be signed any more. */
export function waitWarning(lastEpoch: number | undefined): string {
  const known = lastEpoch === undefined ? '' : ` The copy ends in subnet epoch ${lastEpoch}.`;
  return `Stop the old node for good before you start this one, and wait until two epochs have passed since it stopped (tessera status shows the epoch): what it signed after the copy was made is not in it.${known}`;
}

function needFile(value: string | undefined, flag: string): string {
  if (value === undefined) throw new UsageError(`${flag} FILE is needed`);
  return value;
}
