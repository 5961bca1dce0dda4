// kill -9 of a real process while it signs with the real journal on disk, again and again: each life tells what it sends, and no two lives
// may send different things for one slot (protocol.md 4, 9).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createChance } from './network.ts';

export interface KillFigures {
  readonly kills: number;
  /** Lines that all lives told, and slots among them. */
  readonly told: number;
  readonly slots: number;
  /** Slots for which two payloads were told. */
  readonly twice: readonly string[];
  /** What went wrong with a life other than its kill. */
  readonly failed: readonly string[];
  /** Whether the last life came to the end of its epochs. */
  readonly done: boolean;
}

const PROGRAM = new URL('../support/signer-process.ts', import.meta.url).pathname;
/** Lines of a life before it is killed, at most: a life begins by telling again what its journal holds. */
const MAX_LINES = 40;
const EPOCHS_PER_KILL = 2;

export async function playKills(kills: number, seed: number): Promise<KillFigures> {
  const chance = createChance(seed);
  const folder = mkdtempSync(join(tmpdir(), 'tessera-kills-'));
  const said = new Map<string, Set<string>>();
  const failed: string[] = [];
  let told = 0;

  /** One life: killed when it has told so many new slots, or not at all. Whether it came to its end. */
  async function live(killAfter: number): Promise<boolean> {
    const args = ['--no-warnings', PROGRAM, folder, String(seed), String(Math.max(1, kills * EPOCHS_PER_KILL))];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let news = 0;
    let complaint = '';
    child.stderr.on('data', (text) => {
      complaint += text;
    });
    const ended = once(child, 'close');
    // Looked at below, also when there is no process to read from.
    ended.catch(() => undefined);
    for await (const line of createInterface({ input: child.stdout })) {
      const [kind, epoch, payload] = line.split(' ');
      // A line that the kill cut off was not sent whole.
      if (payload === undefined || payload.length < 64) continue;
      const slot = `${kind} ${epoch}`;
      const before = said.get(slot);
      told += 1;
      if (before === undefined) news += 1;
      said.set(slot, (before ?? new Set()).add(payload));
      if (news >= killAfter) child.kill('SIGKILL');
    }
    const [code, signal] = await ended;
    if (code === 0) return true;
    if (signal !== 'SIGKILL') failed.push(`exit ${code}: ${complaint.slice(0, 500)}`);
    return false;
  }

  try {
    let killed = 0;
    while (killed < kills && failed.length === 0) {
      if (await live(1 + Math.floor(chance() * MAX_LINES * (chance() < 0.5 ? 0.1 : 1)))) break;
      killed += 1;
    }
    const done = failed.length === 0 && (await live(Number.POSITIVE_INFINITY));
    const twice = [...said].filter(([, payloads]) => payloads.size > 1).map(([slot]) => slot);
    return { kills: killed, told, slots: said.size, twice, failed, done };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
