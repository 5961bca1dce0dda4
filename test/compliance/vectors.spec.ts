// test/vectors/check.py recomputes every vector from the specification, in another language and without this program: both must agree,
// and it must notice when they do not.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER = new URL('../vectors/', import.meta.url).pathname;
const NAMES = ['phase', 'challenge', 'sketch', 'commitment', 'record', 'evidence', 'score'];

function check(folder: string) {
  const ran = spawnSync('python3', ['-I', join(FOLDER, 'check.py'), folder], { encoding: 'utf8' });
  assert.equal(ran.error, undefined, 'python3 (3.10 or newer, nothing else) is needed');
  return ran;
}

describe('vectors in Python', function () {
  this.timeout(120_000);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-vectors-'));
    for (const name of NAMES) cpSync(join(FOLDER, `${name}.json`), join(folder, `${name}.json`));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it('agree', () => {
    const { status, stdout, stderr } = check(folder);
    assert.equal(status, 0, stderr);
    for (const name of NAMES) assert.match(stdout, new RegExp(`${name}\\.json: [1-9][0-9]+ values agree`));
  });

  for (const [name, from, to] of [
    ['phase', '"commit":3,"reveal":10', '"commit":3,"reveal":11'],
    ['challenge', '"seed":"e76fca72', '"seed":"e76fca73'],
    ['sketch', '"sketch":"d43c0900', '"sketch":"d43c0901'],
    ['commitment', '"audits":true', '"audits":false'],
    ['record', '"holds":true', '"holds":false'],
    ['evidence', '"emptyRoot": "2a', '"emptyRoot": "2b'],
    ['evidence', '[13,"513642671914185636"]', '[13,"513642671914185637"]'],
    ['score', '304381342258103714', '304381342258103715'],
  ] as const) {
    it(`do not agree when ${from} in ${name}.json is something else`, () => {
      const file = join(folder, `${name}.json`);
      const text = readFileSync(file, 'utf8');
      assert.ok(text.includes(from));
      writeFileSync(file, text.replace(from, to));
      const { status, stderr } = check(folder);
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^${name}\\.json: `));
    });
  }
});
