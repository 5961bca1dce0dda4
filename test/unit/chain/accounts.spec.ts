import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { Keyring } from '@polkadot/keyring';
import { createAccountFile, openSigner, readAccountAddress, readPrivateKey } from '../../../src/chain/accounts.ts';
import { DEVELOPMENT_FUNDS } from '../../../src/chain/twin/funds.ts';
import { concatBytes, toHex } from '../../../src/util/bytes.ts';
import { errorCode, errorMessage } from '../../../src/util/errors.ts';

describe('accounts', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-accounts-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function refusal(name: string): Promise<{ readonly code: string; readonly message: string }> {
    try {
      await openSigner(name.startsWith('//') ? name : join(folder, name));
    } catch (error) {
      return { code: errorCode(error), message: errorMessage(error) };
    }
    throw new assert.AssertionError({ message: `${name} was opened` });
  }

  it('derives the development accounts of chain.md 8', async () => {
    const addresses = [...DEVELOPMENT_FUNDS.keys()];
    for (const [index, address] of addresses.entries()) {
      assert.equal((await openSigner(`//dev:${index}`)).address, address);
    }
    assert.equal(addresses.length, 12);
  });

  it('signs short payloads by keccak and long ones by keccak of BLAKE2, so that the address can be recovered', async () => {
    const signer = await openSigner('//dev:0');
    const short = new Uint8Array(256).fill(1);
    const signature = signer.sign(short);
    assert.equal(signature.length, 65);
    const noble = concatBytes(signature.subarray(64), signature.subarray(0, 64));
    const key = secp256k1.recoverPublicKey(noble, keccak_256(short), { prehash: false });
    const address = keccak_256(secp256k1.Point.fromBytes(key).toBytes(false).subarray(1)).subarray(12);
    assert.equal(`0x${toHex(address)}`, signer.address);
    // BLAKE2b-256 of 257 zero bytes by Python's hashlib.
    const long = signer.sign(new Uint8Array(257));
    const digest = Buffer.from('a93d82fe42c85b6eb1dab95d264706993f6bd903aee5a3ca4a01adbe807c4ca3', 'hex');
    assert.deepEqual(long, signer.sign(digest));
  });

  it('makes a file for its owner alone, reads it back, and never overwrites it', async () => {
    const file = join(folder, 'keys', 'hotkey.json');
    const address = createAccountFile(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal((await openSigner(file)).address, address);
    const before = readFileSync(file, 'utf8');
    assert.throws(
      () => createAccountFile(file),
      (error) => errorCode(error) === 'KEY_FILE_INVALID',
    );
    assert.equal(readFileSync(file, 'utf8'), before);
  });

  it('refuses a file that others can read, and says what to type', async () => {
    createAccountFile(join(folder, 'a.json'));
    chmodSync(join(folder, 'a.json'), 0o640);
    const { code, message } = await refusal('a.json');
    assert.equal(code, 'KEY_FILE_READABLE');
    assert.match(message, /mode 0640.*chmod 600 .*a\.json/);
  });

  it('refuses what is not a key file', async () => {
    const key = `0x${'11'.repeat(32)}`;
    const address = `0x${'22'.repeat(20)}`;
    const contents: readonly (readonly [string, string])[] = [
      ['{', 'must hold'],
      ['{}', 'must hold'],
      [JSON.stringify({ type: 'sr25519', address, privateKey: key }), 'must hold'],
      [JSON.stringify({ type: 'ethereum', address, privateKey: `0x${'00'.repeat(32)}` }), 'not one'],
      [JSON.stringify({ type: 'ethereum', address, privateKey: key }), 'belongs to'],
    ];
    for (const [content, why] of contents) {
      writeFileSync(join(folder, 'k.json'), content, { mode: 0o600 });
      const { code, message } = await refusal('k.json');
      assert.equal(code, 'KEY_FILE_INVALID');
      assert.ok(message.includes(why), message);
      assert.ok(!message.includes(key), 'a message shows no secret');
    }
    for (const [name, make] of [
      ['long.json', (file: string) => writeFileSync(file, ' '.repeat(5000), { mode: 0o600 })],
      ['folder', (file: string) => mkdirSync(file, { mode: 0o700 })],
    ] as const) {
      make(join(folder, name));
      const { code, message } = await refusal(name);
      assert.equal(code, 'KEY_FILE_INVALID');
      assert.match(message, /no file of at most/);
    }
    assert.match((await refusal('none.json')).message, /tessera keygen --accounts/);
    assert.match((await refusal('//alice')).message, /\/\/dev:0/);
  });

  const TEST_COST = 2 ** 10;
  const PASSPHRASE = 'correct horse battery';
  const ask = async () => PASSPHRASE;

  it('encrypts with a passphrase, opens with it alone, and tells the address without it', async () => {
    const file = join(folder, 'sealed.json');
    const address = createAccountFile(file, { passphrase: PASSPHRASE, cost: TEST_COST });
    const text = readFileSync(file, 'utf8');
    assert.ok(!text.includes('privateKey') && text.includes('"version":3'));
    assert.deepEqual(readAccountAddress(file), { address, isEncrypted: true });
    assert.equal((await openSigner(file, ask)).address, address);
    assert.equal((await refusal('sealed.json')).code, 'PASSPHRASE_NEEDED');
    await assert.rejects(
      openSigner(file, async () => 'something else'),
      (error) => errorCode(error) === 'PASSPHRASE_WRONG',
    );
  });

  it('opens what polkadot.js exports', async () => {
    const pair = new Keyring({ type: 'ethereum' }).addFromUri(`0x${'11'.repeat(32)}`);
    const file = join(folder, 'polkadot.json');
    writeFileSync(file, JSON.stringify(pair.toJson(PASSPHRASE)), { mode: 0o600 });
    const signer = await openSigner(file, ask);
    assert.equal(signer.address, pair.address.toLowerCase());
    assert.equal(toHex(await readPrivateKey(file, ask)), '11'.repeat(32));
    await assert.rejects(
      openSigner(file, async () => 'something else'),
      (error) => errorCode(error) === 'PASSPHRASE_WRONG',
    );
  });

  it('imports hex and mnemonics, by path, and refuses words that are none', async () => {
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const hex = file('hex', `0x${'11'.repeat(32)}\n`);
    assert.equal(toHex(await readPrivateKey(hex, ask)), '11'.repeat(32));
    // The published test mnemonic of Hardhat and its second account.
    const words = file('words', 'test test test test test test test test test test test junk\n');
    const key = await readPrivateKey(words, ask, "m/44'/60'/0'/0/1");
    assert.equal(toHex(key), '59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d');
    const code = (error: unknown) => errorCode(error) === 'KEY_FILE_INVALID';
    const typo = file('typo', 'test test test test test test test test test test test test');
    await assert.rejects(readPrivateKey(typo, ask), code);
    await assert.rejects(readPrivateKey(words, ask, '44/60'), code);
    await assert.rejects(readPrivateKey(file('zero', '00'.repeat(32)), ask), code);
    await assert.rejects(readPrivateKey(file('any', 'hello'), ask), code);
  });
});
