// What this node's duties came to in the last epochs, kept in `<data-dir>/logs/epochs.json` by `tessera run`, so that `status` and `scores`
// can say why a reward is zero while the journal belongs to the running node. For people only: nothing decides by it.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Outcome } from '../consensus/duty.ts';
import type { Judged } from '../validator/validator.ts';

/** As many as the chain keeps (chain.md 3.3). */
const KEPT_EPOCHS = 64;
const MAX_BYTES = 1 << 20;

/** As JSON has it: a score is a decimal string. */
export type DiaryEntry = Outcome | (Omit<Judged, 'score'> & { readonly score: string });

export interface Diary {
  readonly subnet: number;
  readonly node: number;
  readonly epochs: readonly { readonly epoch: number; readonly outcomes: readonly DiaryEntry[] }[];
}

export function toDiary(event: Outcome | Judged): DiaryEntry {
  return event.type === 'judged' ? { ...event, score: event.score.toString() } : event;
}

const DIARY = z.object({
  subnet: z.number(),
  node: z.number(),
  epochs: z
    .array(z.object({ epoch: z.number(), outcomes: z.array(z.looseObject({ type: z.string() })) }))
    .max(KEPT_EPOCHS),
});

function fileOf(dataDir: string): string {
  return join(dataDir, 'logs', 'epochs.json');
}

/** What was kept for this node, or undefined: no file, another node's, or one that cannot be read. */
export function readDiary(dataDir: string, subnet: number): Diary | undefined {
  try {
    const text = readFileSync(fileOf(dataDir), 'utf8');
    if (text.length > MAX_BYTES) return undefined;
    const parsed = DIARY.safeParse(JSON.parse(text));
    return parsed.success && parsed.data.subnet === subnet ? (parsed.data as unknown as Diary) : undefined;
  } catch {
    return undefined;
  }
}

/** Adds one outcome; the file is replaced as a whole, so that a reader never sees half of it. */
export function keepOutcome(dataDir: string, of: { subnet: number; node: number }, outcome: DiaryEntry): void {
  const known = readDiary(dataDir, of.subnet);
  const diary = addOutcome(known?.node === of.node ? known : { ...of, epochs: [] }, outcome);
  const file = fileOf(dataDir);
  mkdirSync(join(dataDir, 'logs'), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, JSON.stringify(diary), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export function addOutcome(diary: Diary, outcome: DiaryEntry): Diary {
  const before = diary.epochs.find(({ epoch }) => epoch === outcome.epoch)?.outcomes ?? [];
  const told = before.some((one) => JSON.stringify(one) === JSON.stringify(outcome));
  const entry = { epoch: outcome.epoch as number, outcomes: told ? before : [...before, outcome] };
  const epochs = [...diary.epochs.filter(({ epoch }) => epoch !== outcome.epoch), entry];
  return { ...diary, epochs: epochs.sort((a, b) => a.epoch - b.epoch).slice(-KEPT_EPOCHS) };
}
