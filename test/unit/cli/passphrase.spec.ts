import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { prompt } from '../../../src/cli/passphrase.ts';

describe('asking for a passphrase', () => {
  it('turns the echo off before it asks, shows nothing that is typed, and turns it on again', async () => {
    const told: string[] = [];
    const input = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: (raw: boolean) => {
        told.push(raw ? 'echo off' : 'echo on');
      },
    });
    const asked = prompt('Passphrase: ', { input, write: (text) => told.push(text) });
    input.write('correct horse\r');
    assert.equal(await asked, 'correct horse');
    assert.deepEqual(told, ['echo off', 'Passphrase: ', 'echo on', '\n']);
  });
});
