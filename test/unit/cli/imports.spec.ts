// bin/imports.js takes for granted how the packages of @polkadot are built; this looks whether they still are.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';

const QUICK = new URL('../../../bin/imports.js', import.meta.url);
const PROGRAM = `
  import { ApiPromise, WsProvider } from '@polkadot/api';
  import { Keyring } from '@polkadot/keyring';
  import { hexToU8a } from '@polkadot/util';
  console.log(typeof ApiPromise.create, typeof WsProvider, new Keyring({ type: 'ethereum' }).type, hexToU8a('0x0102').join());`;

describe('quick imports', () => {
  it('all of @polkadot is ESM, but what lies in cjs/ and packages of their own', () => {
    const files = globSync('node_modules/@polkadot/*/**/package.json', {
      exclude: (path) => /\/(cjs|node_modules)\/?$/.test(path),
    });
    const homes = files.filter((file) => /^node_modules\/@polkadot\/[^/]+\/package\.json$/.test(file));
    assert.deepEqual(files, homes, 'no folder has another kind');
    assert.ok(homes.length >= 20, 'they were found');
    for (const file of homes) assert.equal(JSON.parse(readFileSync(file, 'utf8')).type, 'module', file);
  });

  it('bring the same modules', () => {
    const run = (...flags: string[]) =>
      spawnSync(process.execPath, [...flags, '--input-type=module', '--eval', PROGRAM], { encoding: 'utf8' });
    const quick = run('--import', QUICK.href);
    assert.equal(quick.stdout, 'function function ethereum 1,2\n', quick.stderr);
  });
});
