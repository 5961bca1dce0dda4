// docs/errors.md and the code name the same error codes, and the exit codes of its tables are those of the program.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { exitCodeOf } from '../../../src/cli/exit.ts';
import { CodedError } from '../../../src/util/errors.ts';
import { INFER_CODES } from '../../../src/wire/infer.ts';

const DOC = readFileSync('docs/errors.md', 'utf8');
const CODE = /`([A-Z][A-Z0-9]*_?[A-Z0-9_]*)`/g;

function codesInSources(): Set<string> {
  const sources = globSync('src/**/*.ts').map((file) => readFileSync(file, 'utf8'));
  const written = sources.flatMap((text) =>
    [...text.matchAll(/\bcode: '([A-Z][A-Z0-9_]+)'/g)].map((match) => match[1]),
  );
  const abstentions = readFileSync('src/consensus/attest.ts', 'utf8').matchAll(/^ {2}\| '([A-Z][A-Z0-9_]+)'/gm);
  return new Set(
    [...written, ...[...abstentions].map((match) => match[1]), ...INFER_CODES].filter((code) => code !== undefined),
  );
}

describe('docs/errors.md', () => {
  const inDoc = new Set([...DOC.matchAll(CODE)].map((match) => match[1] ?? ''));
  const inCode = codesInSources();

  it('names every code there is', () => {
    assert.deepEqual([...inCode].filter((code) => !inDoc.has(code)).sort(), []);
  });

  it('names no code that is gone', () => {
    assert.deepEqual([...inDoc].filter((code) => !inCode.has(code)).sort(), []);
  });

  it('tells the exit codes', () => {
    const rows = [...DOC.matchAll(/^\| `([A-Z0-9_]+)` \| (\d+) \|/gm)];
    assert.ok(rows.length > 50);
    const wrong = rows.filter(([, code = '', exit]) => exitCodeOf(new CodedError({ code }, '')) !== Number(exit));
    assert.deepEqual(
      wrong.map(([, code]) => code),
      [],
    );
  });
});
