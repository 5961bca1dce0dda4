import { strict as assert } from 'node:assert';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { openWeights } from '../../../src/model/safetensors.ts';
import { errorCode } from '../../../src/util/errors.ts';
import { safetensors } from '../../support/hf-folder.ts';

const A = { name: 'a', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
const B = { name: 'b', shape: [2], data: Float32Array.of(-1, 0.5) };

/** A file with the header as it stands, and some bytes behind it. */
function withHeader(text: string, dataBytes = 24): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  return Buffer.concat([length, Buffer.from(text), Buffer.alloc(dataBytes)]);
}

describe('model/safetensors', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-tensors-'));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const put = (name: string, content: Buffer | object) =>
    writeFile(join(folder, name), Buffer.isBuffer(content) ? content : JSON.stringify(content));
  const refuses = (what: () => Promise<unknown>, words: RegExp) =>
    assert.rejects(what, (error: unknown) => {
      assert.equal(errorCode(error), 'MODEL_FILE', String(error));
      assert.match(String(error), words);
      return true;
    });
  const reads = async (name: string, dims: readonly number[]) => {
    const weights = await openWeights(folder);
    try {
      return await weights.read(name, dims);
    } finally {
      await weights.close();
    }
  };

  it('reads tensors of one file, and of several by their index', async () => {
    await put('model.safetensors', safetensors([A, B], 'F32'));
    assert.deepEqual([await reads('a', [2, 3]), await reads('b', [2])], [A.data, B.data]);
    await put('one.safetensors', safetensors([A], 'BF16'));
    await put('two.safetensors', safetensors([B], 'F16'));
    await put('model.safetensors.index.json', { weight_map: { a: 'one.safetensors', b: 'two.safetensors' } });
    assert.deepEqual([await reads('a', [2, 3]), await reads('b', [2])], [A.data, B.data]);
    await refuses(() => reads('c', [1]), /no tensor c/);
    await refuses(() => reads('constructor', [1]), /no tensor constructor/);
  });

  it('an index names files beside it only, and they are there', async () => {
    for (const file of ['../model.safetensors', '/etc/passwd', '.hidden', 'a/b']) {
      await put('model.safetensors.index.json', { weight_map: { a: file } });
      await refuses(() => reads('a', [2, 3]), /not an index/);
    }
    await put('model.safetensors.index.json', { weight_map: { a: 'gone.safetensors' } });
    await refuses(() => reads('a', [2, 3]), /gone\.safetensors.*missing/);
    await put('model.safetensors.index.json', Buffer.from('{'));
    await refuses(() => reads('a', [2, 3]), /not an index/);
  });

  const entry = (change: object) =>
    JSON.stringify({ a: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24], ...change } });
  for (const [what, content, words] of [
    ['a file shorter than its first number', Buffer.alloc(4), /ends early/],
    ['a header longer than the file', Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0]), /a header of/],
    ['a header of all memory', Buffer.alloc(8, 0xff), /a header of/],
    ['a header that is no JSON', withHeader('{]'), /lists no tensors/],
    ['a header that is no map', withHeader('[1]'), /lists no tensors/],
    ['a negative offset', withHeader(entry({ data_offsets: [-24, 0] })), /lists no tensors/],
    ['data behind the end', withHeader(entry({ data_offsets: [8, 32] })), /ends early/],
    ['fewer bytes than its shape has', withHeader(entry({ data_offsets: [0, 20] })), /F32 in 20 bytes/],
    ['more bytes than its shape has', withHeader(entry({ data_offsets: [0, 2 ** 50] })), /F32 in/],
    ['offsets the wrong way round', withHeader(entry({ data_offsets: [24, 0] })), /F32 in -24 bytes/],
    ['an element type that is no float', withHeader(entry({ dtype: 'I32' })), /I32/],
    ['another shape', withHeader(entry({ shape: [3, 2] })), /is \[3,2\], not \[2,3\]/],
  ] as const)
    it(`refuses ${what}`, async () => {
      await put('model.safetensors', content);
      await refuses(() => reads('a', [2, 3]), words);
    });

  it('damaged files are read or refused, nothing else', async () => {
    const whole = safetensors([A, B], 'F32');
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), async (at, byte, cut) => {
        await put(
          'model.safetensors',
          cut ? whole.subarray(0, at) : Buffer.from(whole.map((old, i) => (i === at ? byte : old))),
        );
        await reads('a', [2, 3]).catch((error: unknown) => assert.equal(errorCode(error), 'MODEL_FILE', String(error)));
      }),
      { numRuns: 150 },
    );
  });
});
