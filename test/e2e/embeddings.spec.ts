// The official OpenAI client asks a network of processes for embeddings: a small random encoder, imported by the command line, gives the vectors that
// sentence-transformers gives (test/vectors/encoders.json).

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI, { APIError } from 'openai';
import { type Running, runCli, startCli, stopCli } from '../support/cli.ts';
import { type EncoderFolder, writeEncoderFolder } from '../support/hf-encoder-folder.ts';

const { tokenizer, models } = JSON.parse(
  readFileSync(new URL('../vectors/encoders.json', import.meta.url), 'utf8'),
) as {
  readonly tokenizer: object;
  readonly models: readonly (Pick<EncoderFolder, 'config' | 'pooling' | 'head'> & {
    readonly ids: readonly number[][];
    readonly segments: readonly number[][];
    readonly vectors: readonly string[];
  })[];
};
const SIZE = 64;
const MAX_TOKENS = 40;
const TOLERANCE = 1e-5;

describe('OpenAI clients: embeddings', function () {
  this.timeout(5 * 60_000);
  let folder: string;
  let net: Running;
  let url: string;
  let ai: OpenAI;
  const [model] = models;
  assert.ok(model !== undefined);
  /** Texts of one segment. */
  const known = model.ids.flatMap((ids, i) => (model.segments[i]?.includes(1) ? [] : [{ ids, vector: vectorAt(i) }]));

  function vectorAt(i: number): Float32Array {
    return new Float32Array(new Uint8Array(Buffer.from(model?.vectors[i] ?? '', 'base64')).buffer);
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-embeddings-'));
    const [hf, ours] = [join(folder, 'hf'), join(folder, 'ours')];
    await writeEncoderFolder(hf, { ...model, tokenizer });
    const made = await runCli([
      ...['model', 'import', hf, '--out', ours, '--parts', '3', '--model-name', 'mini', '--license', 'MIT'],
      ...['--json', '--data-dir', join(folder, 'home')],
    ]);
    assert.equal(made.code, 0, made.stderr);
    net = startCli([
      ...[
        'devnet',
        '--json',
        '--block-ms',
        '500',
        '--rpc-port',
        '0',
        '--port',
        '0',
        '--hosters',
        '3',
        '--attestors',
        '0',
      ],
      ...['--model', ours, '--data-dir', join(folder, 'net'), '--prompt', 'the fox'],
    ]);
    url = String((await net.waitFor((line) => line.event === 'gateway-ready')).url);
    ai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'anything', maxRetries: 0 });
  });
  after(async () => {
    await stopCli(net);
    rmSync(folder, { recursive: true, force: true });
  });

  const embed = (input: OpenAI.EmbeddingCreateParams['input'], more: Partial<OpenAI.EmbeddingCreateParams> = {}) =>
    ai.embeddings.create({ model: 'mini', input, ...more });
  const vectorsOf = ({ data }: OpenAI.CreateEmbeddingResponse) => data.map(({ embedding }) => embedding);
  const assertNear = (found: readonly number[] | undefined, expected: ArrayLike<number>) => {
    assert.equal(found?.length, expected.length);
    for (const [i, value] of Array.from(expected).entries())
      assert.ok(Math.abs((found?.[i] ?? Number.NaN) - value) <= TOLERANCE, `value ${i}: ${found?.[i]}, not ${value}`);
  };
  async function refused(asking: Promise<unknown>, status: number, code: string, param: string): Promise<APIError> {
    const error = await asking.then(
      () => assert.fail('it was answered'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof APIError, String(error));
    assert.deepEqual([error.status, error.code, error.param], [status, code, param], error.message);
    return error;
  }

  it('the network says what its first prompt became, and over which hops', async () => {
    const { dimensions, route } = await net.waitFor((line) => line.event === 'embedded');
    assert.equal(dimensions, SIZE);
    const shards = (route as { shards: number[] }[]).flatMap((hop) => hop.shards);
    assert.deepEqual(shards, [0, 1, 2]);
    assert.ok((route as unknown[]).length >= 2, 'nobody serves all shards');
  });

  it('lists the model', async () => {
    assert.deepEqual(
      (await ai.models.list()).data.map(({ id }) => id),
      ['mini'],
    );
  });

  it('token ids: the vectors of sentence-transformers', async () => {
    const answer = await embed(known.map(({ ids }) => [...ids]));
    for (const [i, { vector }] of known.entries()) assertNear(vectorsOf(answer)[i], vector);
    assert.deepEqual(
      answer.data.map(({ index, object }) => [index, object]),
      known.map((_, i) => [i, 'embedding']),
    );
    const tokens = known.reduce((sum, { ids }) => sum + ids.length, 0);
    assert.deepEqual(answer.usage, { prompt_tokens: tokens, total_tokens: tokens });
    assert.deepEqual([answer.object, answer.model], ['list', 'mini']);
  });

  it('one list of ids is one input', async () => {
    const [first] = known;
    assertNear(vectorsOf(await embed([...(first?.ids ?? [])]))[0], first?.vector ?? []);
  });

  it('a text is what its ids are, whatever stands beside it', async () => {
    const [alone] = vectorsOf(await embed('the fox'));
    const [among] = vectorsOf(await embed(['the fox', 'jumping over the naive cafe', '你好']));
    assert.equal(alone?.length, SIZE);
    assertNear(among, alone ?? []);
    assert.ok(Math.abs(Math.hypot(...(alone ?? [])) - 1) < TOLERANCE);
  });

  it('numbers or base64: the same values', async () => {
    const numbers = await embed('over', { encoding_format: 'float' });
    assert.ok(numbers.data[0]?.embedding.every((value) => typeof value === 'number'));
    const raw = await fetch(`${url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mini', input: 'over', encoding_format: 'base64' }),
    });
    const { data } = (await raw.json()) as { data: [{ embedding: string }] };
    const bytes = new Uint8Array(Buffer.from(data[0].embedding, 'base64'));
    assert.deepEqual(Array.from(new Float32Array(bytes.buffer)), numbers.data[0]?.embedding);
  });

  it('fewer dimensions: the first ones, at length 1 again', async () => {
    const [whole = []] = vectorsOf(await embed('the fox'));
    const [part = []] = vectorsOf(await embed('the fox', { dimensions: 16 }));
    const length = Math.hypot(...whole.slice(0, 16));
    assertNear(
      part,
      whole.slice(0, 16).map((value) => value / length),
    );
  });

  it('many inputs at once, in their order', async () => {
    const words = ['fox', 'the', 'over', 'jumping', 'naive', 'cafe'];
    const inputs = Array.from({ length: 120 }, (_, i) => words.slice(0, 1 + (i % words.length)).join(' '));
    const found = vectorsOf(await embed(inputs));
    assert.equal(found.length, inputs.length);
    for (const [i, vector] of found.slice(words.length).entries()) assertNear(vector, found[i % words.length] ?? []);
  });

  it('many requests at once', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => embed(i % 2 === 0 ? 'the fox' : 'over')));
    const vectors = answers.map((answer) => vectorsOf(answer)[0] ?? []);
    for (const [i, vector] of vectors.entries()) assertNear(vector, vectors[i % 2] ?? []);
  });

  it('user is taken and left alone', async () => {
    assert.equal((await embed('over', { user: 'somebody' })).data.length, 1);
  });

  describe('refuses', () => {
    it('an empty text', () => refused(embed(''), 400, 'invalid_value', 'input'));
    it('an empty text among others', () => refused(embed(['fox', '']), 400, 'invalid_value', 'input'));
    it('no inputs', async () => {
      await assert.rejects(embed([]), OpenAI.BadRequestError);
    });
    it('ids beyond the vocabulary', () => refused(embed([5, 104]), 400, 'invalid_value', 'input'));
    it('what is longer than the model reads', () =>
      refused(embed('fox '.repeat(MAX_TOKENS)), 400, 'context_length_exceeded', 'input'));
    it('more dimensions than there are', () =>
      refused(embed('fox', { dimensions: SIZE + 1 }), 400, 'invalid_value', 'dimensions'));
    it('no dimensions at all', () => refused(embed('fox', { dimensions: 0 }), 400, 'invalid_value', 'dimensions'));
    it('another encoding', () =>
      refused(embed('fox', { encoding_format: 'hex' as 'float' }), 400, 'invalid_value', 'encoding_format'));
    it('parameters that it does not know', () =>
      refused(embed('fox', { truncate: true } as object), 400, 'unknown_parameter', 'truncate'));
    it('another model', () =>
      refused(ai.embeddings.create({ model: 'gpt', input: 'x' }), 404, 'model_not_found', 'model'));
    it('a chat with this model', () =>
      refused(
        ai.chat.completions.create({ model: 'mini', messages: [{ role: 'user', content: 'x' }] }),
        404,
        'model_not_supported',
        'model',
      ));
    it('a completion by this model', () =>
      refused(ai.completions.create({ model: 'mini', prompt: 'x' }), 404, 'model_not_supported', 'model'));
  });

  it('an abort ends it, and the next is answered', async () => {
    const stop = new AbortController();
    const asking = ai.embeddings.create({ model: 'mini', input: 'fox' }, { signal: stop.signal });
    stop.abort();
    await assert.rejects(asking, OpenAI.APIUserAbortError);
    assert.equal((await embed('fox')).data.length, 1);
  });

  it('tessera embed says the same, over the network and alone', async () => {
    const endpoint = String(net.lines.find((line) => line.event === 'chain-ready')?.endpoint);
    const [expected = []] = vectorsOf(await embed('the fox'));
    const ours = join(folder, 'ours');
    for (const how of [['--rpc', endpoint], ['--local']]) {
      const said = await runCli([
        ...['embed', 'the fox', '--model', ours, '--json', '--data-dir', join(folder, 'home')],
        ...how,
      ]);
      assert.equal(said.code, 0, said.stderr);
      const { dimensions, embedding } = said.lines[0] ?? {};
      assert.equal(dimensions, SIZE);
      assertNear(embedding as number[], expected);
    }
  });

  it('epochs are scored as any: every hoster answers its challenges', async () => {
    const settled = await net.waitFor((line) => line.event === 'epoch-settled' && line.outcome === 'Accepted');
    assert.deepEqual(
      (settled.scores as { node: number; score: string }[]).map(({ node, score }) => [node, score !== '0']),
      [1, 2, 3].map((node) => [node, true]),
    );
  });
});
