// Writes test/vectors/*.json, the numbers that other implementations of the protocol check themselves against (protocol.md 17). What the
// specification states stands here as text, computed independently; what it does not state is computed by this program and again by
// test/vectors/check.py. Integers beyond 2^53 are decimal strings, bytes are hex.

import { mkdirSync, writeFileSync } from 'node:fs';
import { challenge } from './vectors/challenge.ts';
import { commitment } from './vectors/commitment.ts';
import { evidence } from './vectors/evidence.ts';
import { phase } from './vectors/phase.ts';
import { record } from './vectors/record.ts';
import { score } from './vectors/score.ts';
import { sketch } from './vectors/sketch.ts';

const FOLDER = new URL('../test/vectors/', import.meta.url);

/** One line for each member of a list of cases, so that a change shows. */
function toText(value: unknown): string {
  const json = (item: unknown): string => JSON.stringify(item);
  const list = (items: readonly unknown[]): string =>
    items.length === 0 ? '[]' : `[\n  ${items.map(json).join(',\n  ')}\n ]`;
  const entries = Object.entries(value as object).map(
    ([key, item]) => ` ${json(key)}: ${Array.isArray(item) ? list(item) : json(item)}`,
  );
  return `{\n${entries.join(',\n')}\n}\n`;
}

mkdirSync(FOLDER, { recursive: true });
for (const [name, value] of Object.entries({ phase, challenge, sketch, commitment, record, evidence, score })) {
  writeFileSync(new URL(`${name}.json`, FOLDER), toText(value));
}
