import assert from 'node:assert/strict';
import { fromHex, toHex, utf8 } from '../../../src/util/bytes.ts';
import { requireStrong, SEALED, seal, unseal } from '../../../src/util/sealed.ts';

const COST = 2 ** 10;

describe('secrets under a passphrase', () => {
  it('opens the test vectors of Web3 Secret Storage', () => {
    const secret = '7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d';
    const pbkdf2 = SEALED.parse({
      cipher: 'aes-128-ctr',
      cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
      ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
      kdf: 'pbkdf2',
      kdfparams: {
        c: 262144,
        dklen: 32,
        prf: 'hmac-sha256',
        salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
      },
      mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
    });
    assert.equal(toHex(unseal(pbkdf2, 'testpassword', 'vector')), secret);
  });

  it('gives back what was sealed, to the right passphrase alone, also one of other letters', () => {
    const secret = utf8('a secret of any length');
    const sealed = seal(secret, 'pässwörter zählen', COST);
    assert.deepEqual(unseal(SEALED.parse(JSON.parse(JSON.stringify(sealed))), 'pässwörter zählen', 'x'), secret);
    assert.throws(() => unseal(sealed, 'passworter zahlen', 'x'), { code: 'PASSPHRASE_WRONG' });
    const changed = toHex(fromHex(sealed.ciphertext).map((byte, at) => (at === 0 ? byte ^ 1 : byte)));
    assert.throws(() => unseal({ ...sealed, ciphertext: changed }, 'pässwörter zählen', 'x'), {
      code: 'PASSPHRASE_WRONG',
    });
    assert.notDeepEqual(seal(secret, 'pässwörter zählen', COST).ciphertext, sealed.ciphertext, 'never the same twice');
  });

  it('refuses files that would take too much to open', () => {
    const sealed = seal(utf8('x'), 'correct horse', COST);
    assert.ok(sealed.kdf === 'scrypt');
    const costly = (change: object) => ({ ...sealed, kdfparams: { ...sealed.kdfparams, ...change } });
    for (const change of [{ n: 2 ** 30 }, { n: 2 ** 22, r: 8 }, { r: 1000 }, { p: 1000 }, { dklen: 64 }, { salt: '' }])
      assert.equal(SEALED.safeParse(costly(change)).success, false, JSON.stringify(change));
  });

  it('wants passphrases that cannot be tried out', () => {
    assert.throws(() => requireStrong('short'), { code: 'PASSPHRASE_WEAK' });
    requireStrong('ten letters');
  });
});
