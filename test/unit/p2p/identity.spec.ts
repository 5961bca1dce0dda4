import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import {
  createIdentityFile,
  identityFromSeed,
  openIdentity,
  readIdentityPeer,
  readIdentitySeed,
  verifySignature,
} from '../../../src/p2p/identity.ts';
import type { PeerId } from '../../../src/types/ids.ts';
import { fromHex, toHex, utf8 } from '../../../src/util/bytes.ts';

const SEED = fromHex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');

describe('identity', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-identity-'));
    file = join(folder, 'keys', 'peer_id');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('signs as RFC 8032 says (7.1, test 1)', () => {
    assert.equal(
      toHex(identityFromSeed(SEED).sign(new Uint8Array(0))),
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
  });

  it('signs and verifies as noble does, and refuses what was changed', () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(bytes32, fc.uint8Array({ maxLength: 200 }), fc.nat(63), (seed, message, at) => {
        const identity = identityFromSeed(seed);
        const signature = identity.sign(message);
        assert.deepEqual(signature, ed25519.sign(message, seed));
        assert.ok(verifySignature(identity.peer, message, signature));
        assert.ok(!verifySignature(identity.peer, message, signature.with(at, (signature[at] ?? 0) ^ 1)));
        assert.ok(!verifySignature(identity.peer, Uint8Array.of(...message, 0), signature));
      }),
      { numRuns: 30 },
    );
  });

  it('takes a malformed peer or signature for a bad one', () => {
    const identity = identityFromSeed(SEED);
    assert.equal(verifySignature('nobody' as PeerId, utf8('x'), identity.sign(utf8('x'))), false);
    assert.equal(verifySignature(identity.peer, utf8('x'), new Uint8Array(63)), false);
    assert.equal(verifySignature(identity.peer, utf8('x'), new Uint8Array(64)), false);
  });

  it('goes to a file for its owner alone, in the form that libp2p reads, and back', () => {
    const made = createIdentityFile(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(dirname(file)).mode & 0o077, 0);
    const bytes = readFileSync(file);
    assert.equal(bytes.length, 68);
    assert.equal(peerIdFromPrivateKey(privateKeyFromProtobuf(bytes)).toString(), made.peer);
    const opened = openIdentity(file);
    assert.equal(opened.peer, made.peer);
    assert.ok(verifySignature(made.peer, utf8('hello'), opened.sign(utf8('hello'))));
  });

  it('never overwrites a key', () => {
    const { peer } = createIdentityFile(file);
    assert.throws(() => createIdentityFile(file), { code: 'EEXIST' });
    assert.equal(openIdentity(file).peer, peer);
  });

  it('does not open what others may read, and says what to type', () => {
    createIdentityFile(file);
    for (const mode of [0o640, 0o604, 0o660]) {
      chmodSync(file, mode);
      assert.throws(() => openIdentity(file), { code: 'IDENTITY_READABLE', message: new RegExp(`chmod 600 ${file}`) });
    }
    chmodSync(file, 0o400);
    openIdentity(file);
  });

  it('does not open another public half, another key type, another length, or nothing', () => {
    const { protobuf } = createIdentityFile(file);
    const bad = [
      protobuf.with(67, (protobuf[67] ?? 0) ^ 1),
      protobuf.with(1, 2),
      protobuf.subarray(0, 67),
      new Uint8Array(1 << 20),
      new Uint8Array(0),
    ];
    for (const bytes of bad) {
      writeFileSync(file, bytes);
      assert.throws(() => openIdentity(file), { code: 'IDENTITY_INVALID' });
    }
    assert.throws(() => openIdentity(join(folder, 'none')), { code: 'IDENTITY_INVALID', message: /tessera keygen/ });
    assert.throws(() => openIdentity(folder), { code: 'IDENTITY_INVALID' });
  });

  describe('encrypted and imported', () => {
    const passphrase = 'correct horse battery';
    const cost = 2 ** 10;
    const ask = async () => passphrase;

    it('opens with its passphrase alone, and tells the peer without it', () => {
      const { peer } = createIdentityFile(file, { passphrase, cost });
      assert.equal(statSync(file).mode & 0o777, 0o600);
      assert.equal(openIdentity(file, passphrase).peer, peer);
      assert.deepEqual(readIdentityPeer(file), { peer, isEncrypted: true });
      assert.throws(() => openIdentity(file), { code: 'PASSPHRASE_NEEDED', message: /--passphrase-file/ });
      assert.throws(() => openIdentity(file, 'another one'), { code: 'PASSPHRASE_WRONG' });
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replace(peer, identityFromSeed(SEED).peer));
      assert.throws(() => openIdentity(file, passphrase), { code: 'IDENTITY_INVALID' }, 'another peer written in');
    });

    it('reads the forms of other programs: protobuf, its base64, 64 and 32 bytes', async () => {
      const { protobuf } = identityFromSeed(SEED);
      const forms: readonly (readonly [string, Uint8Array | string])[] = [
        ['protobuf', protobuf],
        ['base64', `${Buffer.from(protobuf).toString('base64')}\n`],
        ['both halves', protobuf.subarray(4)],
        ['seed', SEED],
      ];
      for (const [name, content] of forms) {
        const from = join(folder, name);
        writeFileSync(from, content, { mode: 0o600 });
        assert.deepEqual(await readIdentitySeed(from, ask), SEED, name);
      }
      createIdentityFile(file, { seed: SEED, passphrase, cost });
      assert.deepEqual(await readIdentitySeed(file, ask), SEED);
      const wrong = join(folder, 'wrong');
      for (const content of [SEED.subarray(1), protobuf.subarray(4).with(60, 1), 'hello']) {
        writeFileSync(wrong, content, { mode: 0o600 });
        await assert.rejects(readIdentitySeed(wrong, ask), { code: 'IDENTITY_INVALID' });
      }
    });
  });
});
