import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localSpec } from '../../../src/devchain/local-spec.ts';
import { errorCode } from '../../../src/util/errors.ts';
import { silentLog } from '../../../src/util/log.ts';

const deps = { log: silentLog };
/** `:EpochLength:`, System.Number, and the keys of a foreign chain without a runtime that could build anything. */
const EPOCH_LENGTH = '0x1f297c71532442c937f15f71bcb2ba39';
const NUMBER = '0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac';
const BUNDLED = 'chain/spec/devnet.json';

describe('a spec of one’s own', () => {
  let folder: string;
  let foreign: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-spec-'));
    foreign = join(folder, 'foreign.json');
    const genesis = { raw: { top: { '0x3a636f6465': '0x00', '0x0a': '0x01' } } };
    writeFileSync(foreign, JSON.stringify({ name: 'foreign', id: 'foreign', genesis }));
  });
  after(() => rmSync(folder, { recursive: true }));

  const top = (options: Partial<Parameters<typeof localSpec>[0]>) =>
    localSpec({ file: BUNDLED, params: [], ...options }, deps).genesis.raw.top as Readonly<Record<string, string>>;

  it('is the file as it stands where nothing is asked', () => {
    assert.deepEqual(top({ file: foreign }), { '0x3a636f6465': '0x00', '0x0a': '0x01' });
  });

  it('is built anew from a preset, and from JSON laid over the usual one', () => {
    assert.equal(top({})[EPOCH_LENGTH], '0x14000000');
    assert.equal(top({ preset: 'standard' })[EPOCH_LENGTH], undefined, 'the runtime’s own value');
    const short = top({ genesis: '{"network":{"epochLength":10}}' });
    assert.equal(short[EPOCH_LENGTH], '0x0a000000');
    assert.equal(Object.keys(short).length, Object.keys(top({})).length, 'accounts and authorities are there');
  });

  it('takes single values by name or key, of any runtime', () => {
    const changed = top({ file: foreign, params: ['System.Number=0x07000000', ':EpochLength:=0x0A000000', '0x0A=0x'] });
    assert.deepEqual(changed, {
      '0x0a': '0x',
      [EPOCH_LENGTH]: '0x0a000000',
      [NUMBER]: '0x07000000',
      '0x3a636f6465': '0x00',
    });
    assert.deepEqual(Object.keys(changed), Object.keys(changed).sort());
  });

  it('refuses what is no JSON, no value, no preset', () => {
    for (const [options, code] of [
      [{ genesis: '{network:1}' }, 'GENESIS_NO_JSON'],
      [{ genesis: '{"network":{"epochLength":9}}' }, 'GENESIS_REFUSED'],
      [{ genesis: '[]' }, 'GENESIS_REFUSED'],
      [{ preset: 'none' }, 'GENESIS_PRESET_UNKNOWN'],
      [{ params: ['Network.MinSubnetNodes=3'] }, 'GENESIS_PARAM_INVALID'],
      [{ params: ['MinSubnetNodes=0x03'] }, 'GENESIS_PARAM_INVALID'],
      [{ params: ['Network.MinSubnetNodes=0x033'] }, 'GENESIS_PARAM_INVALID'],
      [{ file: join(folder, 'nothing.json') }, 'DEVCHAIN_SPEC_INVALID'],
    ] as const) {
      assert.throws(
        () => top(options),
        (error) => errorCode(error) === code,
        JSON.stringify(options),
      );
    }
  });
});
