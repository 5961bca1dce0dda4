// Kills a working dev chain at random moments and opens its file again: nothing that it told may be lost, and nothing may have become other.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Chain, createChain } from '../../src/devchain/chain.ts';
import { createDevChain } from '../../src/devchain/devchain.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { genesisState, type RawSpec, readSpec, withGenesisTime } from '../../src/devchain/spec.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { createRandom } from './random.ts';

export interface KillOptions {
  readonly spec: string;
  readonly times: number;
  readonly seed: number;
  /** It is killed after a random time up to so many milliseconds, or after a random line up to that one of what it tells. */
  readonly most: { readonly ms: number } | { readonly lines: number };
  /** Signed transfers of account 0 in order of their nonces. */
  readonly transfers: readonly string[];
  note(line: string): void;
}

export interface KillTable {
  readonly kills: number;
  /** While the file was being opened, and while a rollback was under way. */
  readonly whileOpening: number;
  readonly whileRollingBack: number;
  /** Reopened with exactly the head that was told last. */
  readonly sameHead: number;
  /** Reopened with the block after it: written, and killed before it was told. */
  readonly oneMore: number;
  readonly blocks: number;
  readonly fileBytes: number;
}

interface Told {
  /** Hash by number, as told. */
  readonly line: string[];
  isOpen: boolean;
  /** Block to which a rollback goes back that was begun and not ended. */
  backTo: number | undefined;
}

const PROCESS = fileURLToPath(new URL('./kill-chain-process.ts', import.meta.url));
/** Share of kills that come before the chain is open. */
const WHILE_OPENING = 0.1;

/** Throws an error that names the seed when a reopened chain is not the one that was told. */
export async function killChain(options: KillOptions): Promise<KillTable> {
  const { spec, times, seed, note } = options;
  await hashingReady();
  const folder = mkdtempSync(join(tmpdir(), 'tessera-kill-'));
  const [dbFile, transfersFile] = [join(folder, 'chain.jsonl'), join(folder, 'transfers')];
  writeFileSync(transfersFile, options.transfers.join('\n'));
  const random = createRandom(seed);
  const table = { kills: 0, whileOpening: 0, whileRollingBack: 0, sameHead: 0, oneMore: 0 };
  const told: Told = { line: [], isOpen: false, backTo: undefined };
  const raw = readSpec(spec);
  let blocks = 0;
  try {
    for (let round = 0; round < times; round++) {
      await workUntilKilled([spec, dbFile, transfersFile, String(seed * 1000 + round)], told, random, options.most);
      const chain = reopen(raw, dbFile);
      blocks = chain.head().number;
      const found = compare(chain, told);
      told.line.length = 0;
      for (let number = 0; number <= blocks; number++) told.line.push(chain.byNumber(number)?.hash ?? '');
      chain.close();
      if (found === undefined)
        throw new Error(`seed ${seed}, kill ${round + 1}: another history after block ${blocks}`);
      table.kills++;
      if (!told.isOpen) table.whileOpening++;
      if (told.backTo !== undefined) table.whileRollingBack++;
      if (found >= 0) table[found === 0 ? 'sameHead' : 'oneMore']++;
      await refuseStranger(raw, dbFile);
      if ((round + 1) % 20 === 0) note(`${round + 1} of ${times} kills, ${blocks} blocks`);
    }
    return { ...table, blocks, fileBytes: statSync(dbFile).size };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function workUntilKilled(
  args: readonly string[],
  told: Told,
  random: () => number,
  most: KillOptions['most'],
): Promise<void> {
  told.isOpen = false;
  told.backTo = undefined;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROCESS, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const dies = random() < WHILE_OPENING;
  const moment = random();
  const kill = () => child.kill('SIGKILL');
  const killLater = () => ('ms' in most ? void sleep(moment * most.ms).then(kill) : undefined);
  const lastLine = dies ? 0 : 'lines' in most ? Math.ceil(moment * most.lines) : Number.POSITIVE_INFINITY;
  let lines = 0;
  if (dies) killLater();
  if (lastLine === 0 && 'lines' in most) kill();
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, number = '', hash = ''] = line.split(' ');
    if (word === 'open' && !dies) killLater();
    lines += 1;
    if (lines === lastLine) kill();
    if (word === 'open') told.isOpen = true;
    if (word === 'back') told.backTo = Number(number);
    if (word === 'done') told.backTo = undefined;
    if (word !== 'head' && word !== 'open') continue;
    told.line.length = Number(number);
    told.line[Number(number)] = hash;
  }
}

/** As a next start does. */
function reopen(spec: RawSpec, dbFile: string): Chain {
  return createChain({ genesis: genesisState(spec), finalityLag: 4, dbFile, fsync: false }, { log: silentLog });
}

/** How many blocks there are beyond those told: 0 or 1; -1 for some of a rollback that was under way; undefined for anything else. */
function compare(chain: Chain, { line, backTo }: Told): number | undefined {
  const head = chain.head().number;
  const last = line.length - 1;
  // Below the beginning of a rollback everything stands; of its blocks, those that were told stand too, or the rollback has not begun.
  const firm = Math.min(head, backTo === undefined ? last : Math.min(backTo, last));
  for (let number = 0; number <= firm; number++) {
    const hash = line[number];
    if (hash !== undefined && chain.byNumber(number)?.hash !== hash) return undefined;
  }
  if (backTo !== undefined) return head >= backTo ? -1 : undefined;
  const beyond = head - last;
  return last < 0 || beyond === 0 ? 0 : beyond === 1 ? 1 : undefined;
}

async function refuseStranger(spec: RawSpec, dbFile: string): Promise<void> {
  try {
    const options = { spec: withGenesisTime(spec, 6000), dbFile, mode: 'manual' } as const;
    await (await createDevChain(options, { log: silentLog })).close();
  } catch (error) {
    if (errorCode(error) === 'DEVCHAIN_FOREIGN_GENESIS') return;
    throw error;
  }
  throw new Error('the file of another chain was opened');
}
