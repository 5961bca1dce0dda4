// Where passphrases come from: the file of --passphrase-file, or a person at a terminal, whose typing is not shown. Never a flag or a
// variable of their own: those stand in process lists and shell histories.

import { readFileSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { type Readable, Writable } from 'node:stream';
import { type AskPassphrase, passphraseNeeded, requireStrong } from '../util/sealed.ts';
import { UsageError } from './exit.ts';

const MAX_PASSPHRASE_BYTES = 4096;

/** @param file of the flag */
export function createAsk(file: string | undefined, flag?: '--from-passphrase-file'): AskPassphrase {
  if (file !== undefined) return async () => readPassphraseFile(file);
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    return async (what) => {
      throw passphraseNeeded(what, flag);
    };
  const known = new Map<string, string>();
  return async (what) => {
    const answer = known.get(what) ?? (await prompt(`Passphrase of ${what}: `));
    known.set(what, answer);
    return answer;
  };
}

/** For files that are made now: strong enough, and typed twice where it is typed. */
export async function newPassphrase(file: string | undefined): Promise<string> {
  const chosen = file === undefined ? await promptTwice() : readPassphraseFile(file);
  requireStrong(chosen);
  return chosen;
}

async function promptTwice(): Promise<string> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw passphraseNeeded('the new file');
  const first = await prompt('New passphrase: ');
  if (first !== (await prompt('Once more: '))) throw new UsageError('the two passphrases differ');
  return first;
}

/** The first line; a line break at its end is none of it. */
function readPassphraseFile(file: string): string {
  const [line = ''] = readBounded(file).split(/\r?\n/);
  if (line === '') throw new UsageError(`passphrase file ${file} has nothing in its first line`);
  return line;
}

function readBounded(file: string): string {
  try {
    const { size } = statSync(file);
    if (size <= MAX_PASSPHRASE_BYTES) return readFileSync(file, 'utf8');
  } catch {
    throw new UsageError(`passphrase file ${file} cannot be read`);
  }
  throw new UsageError(`passphrase file ${file} is longer than ${MAX_PASSPHRASE_BYTES} bytes`);
}

/** A question whose answer is not shown. readline writes what is typed to its output: this one swallows all of it. */
export async function prompt(
  question: string,
  { input, write }: { readonly input: Readable; readonly write: (text: string) => void } = TERMINAL,
): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  // First the terminal's own echo off, then the question: who types fast is not shown either.
  const terminal = createInterface({ input, output, terminal: true });
  try {
    const answer = terminal.question('');
    write(question);
    return await answer;
  } finally {
    terminal.close();
    write('\n');
  }
}

const TERMINAL = {
  input: process.stdin,
  write: (text: string) => {
    process.stderr.write(text);
  },
};
