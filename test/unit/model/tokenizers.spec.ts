// Tokenizers of the kinds that models of the Llama family have, against the tokenizers library (test/vectors/tokenizers.json, by
// scripts/model/tokenizers_parity.py).

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import type { Model } from '../../../src/model/open.ts';
import { type ModelTokenizer, openTokenizer } from '../../../src/model/tokenizer.ts';

interface Vector {
  readonly name: string;
  readonly tokenizer: object;
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }[];
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../../vectors/tokenizers.json', import.meta.url), 'utf8'),
);

/** A model that is only its tokenizer. */
function open({ tokenizer }: Vector): Promise<ModelTokenizer> {
  const manifest = { arch: 'llama', tokenizer: { file: 'tokenizer.json', bos: 1, eos: [2] }, chatTemplate: 'template' };
  const read = async (file: string) =>
    Buffer.from(file === 'template' ? "{{ messages[0]['content'] }}" : JSON.stringify(tokenizer));
  return openTokenizer({ manifest, read } as unknown as Model);
}

for (const vector of vectors)
  describe(`model/tokenizer: ${vector.name}`, () => {
    let tokenizer: ModelTokenizer;
    before(async () => {
      tokenizer = await open(vector);
    });

    it('gives the same ids', () => {
      for (const { text, ids } of vector.cases) assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    });

    it('gives the same text, at once and as a stream', () => {
      for (const { ids, decoded } of vector.cases) {
        assert.equal(tokenizer.decode(ids), decoded);
        const stream = tokenizer.createStream();
        assert.equal([...ids.map((id) => stream.push(id)), stream.end()].join(''), decoded);
      }
    });

    it('a stream that goes on from a prompt is the rest of the whole', () => {
      for (const { ids, decoded } of vector.cases)
        for (const at of [1, 2, 5].filter((cut) => cut < ids.length)) {
          const prompt = ids.slice(0, at);
          const begun = tokenizer.decode(prompt);
          if (begun.includes('\ufffd')) continue; // cut within a character
          const stream = tokenizer.createStream([1, ...prompt]);
          const rest = [...ids.slice(at).map((id) => stream.push(id)), stream.end()].join('');
          assert.equal(begun + rest, decoded);
        }
    });
  });
