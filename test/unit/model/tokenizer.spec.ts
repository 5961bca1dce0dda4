import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { createTextStream } from '../../../src/model/tokenizer.ts';

/** One token per byte, as the worst case of byte-level tokenizers. */
function decodeBytes(ids: readonly number[]): string {
  return Buffer.from(ids).toString('utf8');
}

function pieces(bytes: Uint8Array): string[] {
  const stream = createTextStream(decodeBytes);
  return [...Array.from(bytes, (byte) => stream.push(byte)), stream.end()];
}

describe('model/tokenizer: stream', () => {
  it('holds back incomplete characters', () => {
    assert.deepEqual(pieces(Buffer.from('aé😀!')), ['a', '', 'é', '', '', '', '😀', '!', '']);
  });

  it('gives out at the end what never became whole', () => {
    assert.deepEqual(pieces(Buffer.from('😀').subarray(0, 2)), ['', '', '\ufffd']);
  });

  it('all pieces together are the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (string) => {
        const bytes = Buffer.from(string);
        assert.equal(pieces(bytes).join(''), bytes.toString('utf8'));
      }),
    );
  });

  it('no piece but the last ends within a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (string) => {
        for (const piece of pieces(Buffer.from(string.replaceAll('\ufffd', '')))) assert.ok(!piece.includes('\ufffd'));
      }),
    );
  });

  it('keeps what depends on the token before', () => {
    // A decoder that drops the space of the first word, as sentence-piece models do.
    const words = [' Once', ' upon', ' a', ' time'];
    const stream = createTextStream((ids) =>
      ids
        .map((id) => words[id])
        .join('')
        .replace(/^ /, ''),
    );
    assert.deepEqual(
      [0, 1, 2, 3].map((id) => stream.push(id)),
      ['Once', ' upon', ' a', ' time'],
    );
  });
});
