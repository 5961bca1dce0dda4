import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNetworkKey, openNetworkKey } from '../../../src/p2p/network-key.ts';

describe('network key', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-key-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is made for its owner alone, opened again, and never overwritten', () => {
    const file = join(folder, 'keys', 'network_key');
    createNetworkKey(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const text = new TextDecoder().decode(openNetworkKey(file));
    assert.match(text, /^\/key\/swarm\/psk\/1\.0\.0\/\n\/base16\/\n[0-9a-f]{64}$/);
    assert.throws(() => createNetworkKey(file), { code: 'EEXIST' });
  });

  it('may come from other programs of libp2p', () => {
    const file = join(folder, 'swarm.key');
    writeFileSync(file, `/key/swarm/psk/1.0.0/\r\n/base16/\r\n${'AB'.repeat(32)}\r\n`, { mode: 0o600 });
    assert.match(new TextDecoder().decode(openNetworkKey(file)), /\n(ab){32}$/);
  });

  it('is refused when it is missing, open to others, or none', () => {
    const file = join(folder, 'key');
    const refused = () => assert.throws(() => openNetworkKey(file), { facts: { code: 'NETWORK_KEY_INVALID', file } });
    refused();
    createNetworkKey(file);
    chmodSync(file, 0o644);
    refused();
    chmodSync(file, 0o600);
    for (const text of ['', '/key/swarm/psk/1.0.0/\n/base16/\nabcd', 'x'.repeat(1000)]) {
      writeFileSync(file, text);
      refused();
    }
  });
});
