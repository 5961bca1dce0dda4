import assert from 'node:assert/strict';
import { blake2b256 } from '../../../src/devchain/hashing.ts';
import { decodeHeader, encodeHeader, type Header, headerHash, headerJson } from '../../../src/devchain/header.ts';
import { hex } from '../../../src/devchain/hex.ts';

const header: Header = {
  parentHash: `0x${'11'.repeat(32)}`,
  number: 300,
  stateRoot: `0x${'22'.repeat(32)}`,
  extrinsicsRoot: `0x${'33'.repeat(32)}`,
  logs: [
    `0x066175726120${'07'.repeat(8)}`,
    '0x0461757261' + '0401',
    '0x08',
    '0x000c010203',
    '0x0546524e4b00',
  ] as Header['logs'],
};

describe('devchain/header', () => {
  it('writes fields in order, the number compact', () => {
    const bytes = Buffer.from(encodeHeader(header)).toString('hex');
    assert.equal(bytes.slice(0, 64), '11'.repeat(32));
    assert.equal(bytes.slice(64, 68), 'b104');
    assert.equal(bytes.slice(68 + 128, 68 + 130), '14');
  });

  it('reads every kind of digest item back', () => {
    assert.deepEqual(decodeHeader(encodeHeader(header)), header);
    assert.equal(headerHash(header), hex(blake2b256(encodeHeader(header))));
  });

  it('refuses unknown digest items and short bytes', () => {
    assert.throws(() => decodeHeader(encodeHeader({ ...header, logs: ['0x07'] })), { code: 'SCALE_MALFORMED' });
    assert.throws(() => decodeHeader(encodeHeader(header).subarray(0, 120)), { code: 'SCALE_MALFORMED' });
  });

  it('shows itself as a node does', () => {
    const { logs, ...fields } = header;
    assert.deepEqual(headerJson(header), { ...fields, number: '0x12c', digest: { logs } });
  });
});
