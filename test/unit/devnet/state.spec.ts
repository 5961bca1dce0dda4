import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readState, writeState } from '../../../src/devnet/state.ts';

describe('devnet: what a kept network remembers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-state-'));
  const file = join(folder, 'devnet.json');
  after(() => rmSync(folder, { recursive: true }));

  it('is nothing at first, and then what was written', () => {
    assert.equal(readState(folder), undefined);
    const state = { subnet: 128_001, hosters: 1, attestors: 0, nodes: [{ id: 1, port: 20_001 }] };
    writeState(folder, state);
    assert.deepEqual(readState(folder), state);
  });

  for (const [what, text] of Object.entries({
    'a torn file': '{"subnet":128',
    'another file': '{}',
    'an unknown key': '{"subnet":1,"hosters":1,"attestors":0,"nodes":[],"more":1}',
  })) {
    it(`${what} is refused with what to do`, () => {
      writeFileSync(file, text);
      assert.throws(() => readState(folder), { facts: { code: 'DEVNET_STATE_INVALID', file } });
    });
  }
});
