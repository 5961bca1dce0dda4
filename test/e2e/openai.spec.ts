// The official OpenAI client against a network of processes: what an application meets when it changes its base URL.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI, { APIError } from 'openai';
import { createClient, type TextClient } from '../../src/index.ts';
import { type Running, runCli, startCli, stopCli } from '../support/cli.ts';

const PROMPT = 'Once upon a time';
const MESSAGES = [{ role: 'user' as const, content: 'Tell me a story about a brave turtle named Ruby.' }];
const MAX_CONTEXT = 512;
/** A slow machine is slow; it does not fail. */
const PATIENCE_MS = 8 * 60_000;

type Chat = OpenAI.ChatCompletionCreateParamsNonStreaming;
type Completion = OpenAI.CompletionCreateParamsNonStreaming;

describe('OpenAI clients', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let net: Running;
  let locked: Running;
  let url: string;
  let lockedUrl: string;
  let ai: OpenAI;
  const keys: Record<string, { key: string; id: string }> = {};

  async function addKey(name: string, ...quota: string[]): Promise<void> {
    const made = await runCli([
      'gateway',
      'keys',
      'add',
      name,
      ...quota,
      '--json',
      '--data-dir',
      join(folder, 'locked'),
    ]);
    assert.equal(made.code, 0, made.stderr);
    keys[name] = made.lines[0] as unknown as { key: string; id: string };
  }

  function clientOf(baseURL: string, apiKey: string, more: object = {}): OpenAI {
    return new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, maxRetries: 0, ...more });
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-openai-'));
    const data = join(folder, 'net');
    net = startCli([
      ...['devnet', '--json', '--block-ms', '500', '--rpc-port', '0', '--port', '0'],
      ...['--prompt', PROMPT, '--max-tokens', '24', '--data-dir', data],
    ]);
    const { endpoint } = await net.waitFor((line) => line.event === 'chain-ready');
    url = String((await net.waitFor((line) => line.event === 'gateway-ready')).url);
    await addKey('app');
    await addKey('small', '--tokens-per-minute', '60', '--concurrent-requests', '1');
    await addKey('gone');
    locked = startCli([
      'gateway',
      '--json',
      '--rpc',
      String(endpoint),
      '--port',
      '0',
      '--data-dir',
      join(folder, 'locked'),
    ]);
    lockedUrl = String((await locked.waitFor((line) => line.event === 'gateway-ready')).url);
    ai = clientOf(url, 'anything');
    await net.waitFor((line) => line.event === 'generated');
  });

  after(async () => {
    await Promise.all([stopCli(locked), stopCli(net)]);
    rmSync(folder, { recursive: true, force: true });
  });

  const chat = (more: Partial<Chat> = {}) =>
    ai.chat.completions.create({ model: 'tiny', messages: MESSAGES, max_tokens: 6, temperature: 0, ...more });
  const complete = (more: Partial<Completion> = {}) =>
    ai.completions.create({ model: 'tiny', prompt: PROMPT, max_tokens: 6, temperature: 0, ...more });
  const streamed = (more: Partial<Omit<OpenAI.ChatCompletionCreateParamsStreaming, 'stream'>> = {}) =>
    ai.chat.completions.create({
      model: 'tiny',
      messages: MESSAGES,
      max_tokens: 6,
      temperature: 0,
      ...more,
      stream: true,
    });
  const wordsOf = (answer: OpenAI.ChatCompletion, index = 0): string => answer.choices[index]?.message.content ?? '';

  async function refused(asking: Promise<unknown>, status: number, code: string, param?: string): Promise<APIError> {
    const error = await asking.then(
      () => assert.fail('it was answered'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof APIError, String(error));
    assert.deepEqual([error.status, error.code], [status, code], error.message);
    if (param !== undefined) assert.equal(error.param, param);
    return error;
  }

  describe('models', () => {
    it('lists the model', async () => {
      const { data } = await ai.models.list();
      assert.deepEqual(
        data.map(({ id, object, owned_by }) => [id, object, owned_by]),
        [['tiny', 'model', 'tessera']],
      );
    });
    it('retrieves it', async () => assert.equal((await ai.models.retrieve('tiny')).id, 'tiny'));
    it('knows no other', () => refused(ai.models.retrieve('gpt-5'), 404, 'model_not_found', 'model'));
  });

  describe('chat', () => {
    it('answers in the role of the assistant', async () => {
      const answer = await chat();
      assert.equal(answer.object, 'chat.completion');
      assert.equal(answer.model, 'tiny');
      assert.match(answer.id, /^chatcmpl-/);
      assert.match(answer.system_fingerprint ?? '', /^fp_[0-9a-f]{10}$/);
      assert.equal(answer.choices[0]?.message.role, 'assistant');
      assert.match(wordsOf(answer), /\w+ \w+/);
    });
    it('gives the same words to the same question when it takes the likeliest', async () => {
      assert.equal(wordsOf(await chat({ max_tokens: 20 })), wordsOf(await chat({ max_tokens: 20 })));
    });
    it('finishes a story by itself with the reason stop', async () => {
      const answer = await chat({ max_tokens: 400 });
      assert.equal(answer.choices[0]?.finish_reason, 'stop');
      assert.match(wordsOf(answer), /[.!"]$/);
    });
    it('takes as much as the context has without max_tokens', async () => {
      const answer = await ai.chat.completions.create({ model: 'tiny', messages: MESSAGES, temperature: 0 });
      assert.equal(answer.choices[0]?.finish_reason, 'stop');
    });
    it('has a request id', async () => assert.match((await chat())._request_id ?? '', /^req_/));
    it('counts its tokens', async () => {
      const { usage } = await chat();
      assert.equal(usage?.completion_tokens, 6);
      assert.equal(usage?.total_tokens, (usage?.prompt_tokens ?? 0) + 6);
    });
    it('cuts at max_tokens with the reason length', async () => {
      assert.equal((await chat({ max_tokens: 3 })).choices[0]?.finish_reason, 'length');
    });
    it('knows max_completion_tokens, which goes first', async () => {
      const { usage } = await chat({ max_tokens: 6, max_completion_tokens: 2 });
      assert.equal(usage?.completion_tokens, 2);
    });
    it('takes text in parts', async () => {
      const content = [
        { type: 'text' as const, text: 'Tell me a story about a ' },
        { type: 'text' as const, text: 'brave turtle named Ruby.' },
      ];
      assert.equal(wordsOf(await chat({ messages: [{ role: 'user', content }] })), wordsOf(await chat()));
    });
    it('takes a conversation of several roles', async () => {
      const messages = [
        { role: 'developer' as const, content: 'Be kind.' },
        ...MESSAGES,
        { role: 'assistant' as const, content: 'Once upon a time, there was a turtle.' },
        { role: 'user' as const, content: 'Tell me about a calm ant.' },
      ];
      assert.ok(wordsOf(await chat({ messages })).length > 0);
    });
    it('takes what changes nothing', async () => {
      assert.ok(
        await chat({ user: 'somebody', metadata: { app: 'test' }, presence_penalty: 0, tools: [], store: false }),
      );
    });
    it('no text becomes a special token', async () => {
      const plain = await chat({ messages: [{ role: 'user', content: '<|end|><|assistant|>' }] });
      const empty = await chat({ messages: [{ role: 'user', content: '' }] });
      assert.ok((plain.usage?.prompt_tokens ?? 0) > (empty.usage?.prompt_tokens ?? 0) + 2);
    });
    it('tells the route that the answer took, over more than one node', async () => {
      const { tessera } = (await chat()) as unknown as { tessera: { route: { node: number; shards: number[] }[] } };
      assert.deepEqual(
        tessera.route.flatMap(({ shards }) => shards),
        [0, 1, 2, 3],
      );
      assert.ok(tessera.route.length >= 2);
    });
  });

  describe('drawing', () => {
    it('the same seed draws the same words', async () => {
      const draw = () => chat({ temperature: 1.2, seed: 11, max_tokens: 16 });
      assert.equal(wordsOf(await draw()), wordsOf(await draw()));
    });
    it('another seed draws others', async () => {
      const draws = await Promise.all([1, 200, 3000].map((seed) => chat({ temperature: 1.5, seed, max_tokens: 24 })));
      assert.ok(new Set(draws.map((answer) => wordsOf(answer))).size > 1);
    });
    it('a negative seed is one too', async () => assert.ok(await chat({ temperature: 1, seed: -5 })));
    it('top_p of 0 takes the likeliest', async () => {
      assert.equal(wordsOf(await chat({ temperature: 1.5, top_p: 0, seed: 4 })), wordsOf(await chat()));
    });
    it('n answers, numbered, each with its own seed', async () => {
      const answer = await chat({ n: 3, temperature: 1.5, seed: 5, max_tokens: 24 });
      assert.deepEqual(
        answer.choices.map(({ index }) => index),
        [0, 1, 2],
      );
      assert.ok(new Set([0, 1, 2].map((index) => wordsOf(answer, index))).size > 1);
      const first = await chat({ temperature: 1.5, seed: 5, max_tokens: 24 });
      assert.equal(wordsOf(answer, 0), wordsOf(first));
    });
    it('n answers count the prompt once and all tokens', async () => {
      const [one, three] = [await chat(), await chat({ n: 3 })];
      assert.equal(three.usage?.prompt_tokens, one.usage?.prompt_tokens);
      assert.equal(three.usage?.completion_tokens, 18);
    });
  });

  describe('stop', () => {
    it('ends before the text, wherever tokens begin', async () => {
      const whole = wordsOf(await chat({ max_tokens: 24 }));
      const word = whole.slice(9, 14);
      const answer = await chat({ max_tokens: 24, stop: word });
      assert.equal(wordsOf(answer), whole.slice(0, whole.indexOf(word)));
      assert.equal(answer.choices[0]?.finish_reason, 'stop');
    });
    it('the earliest of several counts', async () => {
      const whole = wordsOf(await chat({ max_tokens: 24 }));
      const answer = await chat({ max_tokens: 24, stop: [whole.slice(15, 18), whole.slice(6, 9)] });
      assert.ok(wordsOf(answer).length <= 6);
    });
    it('a stop that does not come changes nothing', async () => {
      assert.equal(wordsOf(await chat({ stop: ['zzzz'] })), wordsOf(await chat()));
    });
    it('streams nothing of it', async () => {
      const whole = wordsOf(await chat({ max_tokens: 24 }));
      const word = whole.slice(9, 14);
      let text = '';
      for await (const chunk of await streamed({ max_tokens: 24, stop: [word] })) {
        text += chunk.choices[0]?.delta.content ?? '';
      }
      assert.equal(text, whole.slice(0, whole.indexOf(word)));
    });
  });

  describe('streaming', () => {
    it('gives the same words in pieces', async () => {
      let text = '';
      let pieces = 0;
      for await (const chunk of await streamed({ max_tokens: 20 })) {
        text += chunk.choices[0]?.delta.content ?? '';
        pieces += 1;
      }
      assert.equal(text, wordsOf(await chat({ max_tokens: 20 })));
      assert.ok(pieces > 10);
    });
    it('begins with the role and ends with the reason', async () => {
      const chunks = await Array.fromAsync(await streamed());
      assert.equal(chunks[0]?.choices[0]?.delta.role, 'assistant');
      assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, 'length');
      assert.ok(chunks.slice(0, -1).every((chunk) => chunk.choices[0]?.finish_reason === null));
    });
    it('is one answer: one id, one model, one kind', async () => {
      const chunks = await Array.fromAsync(await streamed());
      assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
      assert.ok(chunks.every(({ object, model }) => object === 'chat.completion.chunk' && model === 'tiny'));
    });
    it('tells usage at the end when asked', async () => {
      const chunks = await Array.fromAsync(await streamed({ stream_options: { include_usage: true } }));
      assert.deepEqual(chunks.at(-1)?.choices, []);
      assert.equal(chunks.at(-1)?.usage?.completion_tokens, 6);
      assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
    });
    it('tells none when not asked', async () => {
      const chunks = await Array.fromAsync(await streamed());
      assert.ok(chunks.every(({ usage, choices }) => usage === undefined && choices.length === 1));
    });
    it('streams n answers side by side', async () => {
      const texts = ['', ''];
      for await (const { choices } of await streamed({ n: 2 })) {
        for (const { index, delta } of choices) texts[index] += delta.content ?? '';
      }
      assert.equal(texts[0], texts[1]);
      assert.equal(texts[0], wordsOf(await chat()));
    });
    it("the client's own runner puts it together", async () => {
      const runner = ai.chat.completions.stream({ model: 'tiny', messages: MESSAGES, max_tokens: 6, temperature: 0 });
      assert.equal(await runner.finalContent(), wordsOf(await chat()));
    });
    it('older completions too', async () => {
      const stream = await ai.completions.create({
        model: 'tiny',
        prompt: PROMPT,
        max_tokens: 6,
        temperature: 0,
        stream: true,
      });
      const chunks = await Array.fromAsync(stream);
      const text = chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('');
      assert.equal(text, (await complete()).choices[0]?.text);
      assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, 'length');
    });
    it('ends with [DONE], as server-sent events', async () => {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'tiny', prompt: PROMPT, max_tokens: 2, stream: true }),
      });
      assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
      assert.ok((await response.text()).endsWith('data: [DONE]\n\n'));
    });
  });

  describe('logprobs', () => {
    it('one for each token, whose texts make the answer', async () => {
      const answer = await chat({ logprobs: true });
      const content = answer.choices[0]?.logprobs?.content ?? [];
      assert.equal(content.length, 6);
      assert.equal(content.map(({ token }) => token).join(''), wordsOf(answer));
      assert.ok(content.every(({ logprob, top_logprobs }) => logprob <= 0 && top_logprobs.length === 0));
      assert.equal(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString(), wordsOf(answer));
    });
    it('with the likeliest beside it, descending; greedy takes the first', async () => {
      const content = (await chat({ logprobs: true, top_logprobs: 5 })).choices[0]?.logprobs?.content ?? [];
      for (const { token, logprob, top_logprobs: top } of content) {
        assert.equal(top.length, 5);
        assert.deepEqual([top[0]?.token, top[0]?.logprob], [token, logprob]);
        assert.deepEqual(
          top.map((one) => one.logprob),
          top.map((one) => one.logprob).toSorted((a, b) => b - a),
        );
      }
    });
    it('of up to 20, which are probabilities', async () => {
      const content = (await chat({ logprobs: true, top_logprobs: 20, max_tokens: 2 })).choices[0]?.logprobs?.content;
      const sum = (content?.[0]?.top_logprobs ?? []).reduce((all, { logprob }) => all + Math.exp(logprob), 0);
      assert.ok(sum > 0.5 && sum <= 1.001, String(sum));
    });
    it('do not change what is drawn', async () => {
      const drawn = { temperature: 1.2, seed: 3 };
      assert.equal(wordsOf(await chat({ ...drawn, logprobs: true, top_logprobs: 3 })), wordsOf(await chat(drawn)));
    });
    it('streamed: the same', async () => {
      const whole = (await chat({ logprobs: true, top_logprobs: 2 })).choices[0]?.logprobs?.content;
      const chunks = await Array.fromAsync(await streamed({ logprobs: true, top_logprobs: 2 }));
      assert.deepEqual(
        chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []),
        whole,
      );
    });
    it('null when not asked for', async () => assert.equal((await chat()).choices[0]?.logprobs, null));
    it('in the older form with offsets', async () => {
      const choice = (await complete({ logprobs: 2 })).choices[0];
      const { tokens = [], text_offset: offsets = [], top_logprobs: top = [] } = choice?.logprobs ?? {};
      assert.equal(tokens.join(''), choice?.text);
      assert.deepEqual(
        offsets,
        tokens.map((_, i) => tokens.slice(0, i).join('').length),
      );
      assert.ok(top.every((one) => Object.keys(one).length === 2));
    });
  });

  describe('older completions', () => {
    it('continue the prompt as the network answers the command line', async () => {
      const generated = net.lines.find((line) => line.event === 'generated');
      const answer = await complete({ max_tokens: 24 });
      assert.equal(answer.object, 'text_completion');
      assert.equal(answer.choices[0]?.text, generated?.text);
    });
    it('stop at 16 tokens unless told otherwise', async () => {
      const answer = await ai.completions.create({ model: 'tiny', prompt: PROMPT, temperature: 0 });
      assert.equal(answer.usage?.completion_tokens, 16);
    });
    it('several prompts, in order', async () => {
      const answer = await complete({ prompt: [PROMPT, 'Once there was a calm ant'] });
      assert.deepEqual(
        answer.choices.map(({ index }) => index),
        [0, 1],
      );
      assert.equal(answer.choices[0]?.text, (await complete()).choices[0]?.text);
      assert.notEqual(answer.choices[1]?.text, answer.choices[0]?.text);
    });
    it('prompts as token ids', async () => {
      const generated = net.lines.find((line) => line.event === 'generated')?.tokens as number[];
      assert.equal((await complete({ prompt: generated, max_tokens: 2 })).usage?.prompt_tokens, 24);
    });
    it('several prompts times n', async () => {
      const answer = await complete({ prompt: [PROMPT, PROMPT], n: 2, max_tokens: 2 });
      assert.deepEqual(
        answer.choices.map(({ index }) => index),
        [0, 1, 2, 3],
      );
    });
    it('no more than eight answers', () =>
      refused(complete({ prompt: [PROMPT, PROMPT, PROMPT], n: 3 }), 400, 'invalid_value', 'n'));
    it('no ids beyond the vocabulary', () => refused(complete({ prompt: [99_999] }), 400, 'invalid_value', 'prompt'));
    it('no echo', () => refused(complete({ echo: true }), 400, 'invalid_value', 'echo'));
  });

  describe('errors', () => {
    const bad: Record<string, { readonly change: object; readonly code: string; readonly param: string }> = {
      'temperature beyond 2': { change: { temperature: 3 }, code: 'invalid_value', param: 'temperature' },
      'top_p beyond 1': { change: { top_p: 1.5 }, code: 'invalid_value', param: 'top_p' },
      'n of 0': { change: { n: 0 }, code: 'invalid_value', param: 'n' },
      'max_tokens of 0': { change: { max_tokens: 0 }, code: 'invalid_value', param: 'max_tokens' },
      'max_tokens as text': { change: { max_tokens: 'ten' }, code: 'invalid_type', param: 'max_tokens' },
      'a seed of halves': { change: { seed: 0.5 }, code: 'invalid_type', param: 'seed' },
      'no messages': { change: { messages: undefined }, code: 'missing_required_parameter', param: 'messages' },
      'an empty conversation': { change: { messages: [] }, code: 'invalid_value', param: 'messages' },
      'an unknown role': {
        change: { messages: [{ role: 'wizard', content: 'x' }] },
        code: 'invalid_value',
        param: 'messages[0].role',
      },
      'a tool': {
        change: { tools: [{ type: 'function', function: { name: 'f' } }] },
        code: 'invalid_value',
        param: 'tools',
      },
      'JSON output': {
        change: { response_format: { type: 'json_object' } },
        code: 'invalid_value',
        param: 'response_format.type',
      },
      'a penalty': { change: { frequency_penalty: 1 }, code: 'invalid_value', param: 'frequency_penalty' },
      'a bias': { change: { logit_bias: { 5: 1 } }, code: 'invalid_value', param: 'logit_bias' },
      'top_logprobs alone': { change: { top_logprobs: 3 }, code: 'invalid_value', param: 'top_logprobs' },
      'a parameter that is none': { change: { wibble: 1 }, code: 'unknown_parameter', param: 'wibble' },
      'an answer beyond the context': {
        change: { max_tokens: MAX_CONTEXT },
        code: 'context_length_exceeded',
        param: 'messages',
      },
      'a prompt beyond the context': {
        change: { messages: [{ role: 'user', content: 'the fox '.repeat(400) }], max_tokens: undefined },
        code: 'context_length_exceeded',
        param: 'messages',
      },
    };
    for (const [what, { change, code, param }] of Object.entries(bad)) {
      it(`${what}: 400, by name`, async () => {
        const error = await refused(chat(change as Partial<Chat>), 400, code, param);
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.type, 'invalid_request_error');
        assert.match(error.requestID ?? '', /^req_/);
      });
    }
    it('an unknown model: 404', () => refused(chat({ model: 'gpt-5' }), 404, 'model_not_found', 'model'));
    it('an unknown address: 404', () => refused(ai.post('/nothing', { body: {} }), 404, 'unknown_url'));
    it('a body beyond a MiB: 413', () =>
      refused(chat({ messages: [{ role: 'user', content: 'x'.repeat(1 << 20) }] }), 413, 'request_too_large'));
    it('streaming: the same status, before any event', () => refused(streamed({ n: 0 }), 400, 'invalid_value', 'n'));
    it('embeddings, which this model has not: 501, and no retry', async () => {
      const patient = clientOf(url, 'anything', { maxRetries: 5 });
      await refused(patient.embeddings.create({ model: 'tiny', input: 'x' }), 501, 'not_implemented', 'model');
    });
    it('embeddings of another model: 404', () =>
      refused(ai.embeddings.create({ model: 'gpt-5', input: 'x' }), 404, 'model_not_found', 'model'));
  });

  describe('hanging up', () => {
    it('leaving the loop ends the answer, and the next is given', async () => {
      let chunks = 0;
      const stream = await streamed({ max_tokens: 400 });
      for await (const _ of stream) {
        chunks += 1;
        if (chunks === 3) break;
      }
      assert.ok(stream.controller.signal.aborted);
      assert.ok(wordsOf(await chat()).length > 0);
    });
    it('an abort is the client error for it', async () => {
      const controller = new AbortController();
      const asking = ai.chat.completions.create(
        { model: 'tiny', messages: MESSAGES, max_tokens: 400, temperature: 1 },
        { signal: controller.signal },
      );
      controller.abort();
      await assert.rejects(asking, OpenAI.APIUserAbortError);
    });
    it('twenty who hang up take no place from who stays', async () => {
      for (let i = 0; i < 20; i += 1) {
        const stream = await streamed({ max_tokens: 400 });
        for await (const _ of stream) break;
      }
      assert.ok(wordsOf(await chat()).length > 0);
    });
  });

  describe('many at once', () => {
    it('twelve questions, each with its own answer', async () => {
      const names = ['Ruby', 'Ben', 'Otto', 'Felix', 'Emil', 'Bruno', 'Stella', 'Maya', 'Pip', 'Rufus', 'Nora', 'Tom'];
      const ask = (name: string) =>
        complete({ prompt: `Once upon a time, there was a brave turtle named ${name}.`, max_tokens: 8 });
      const together = await Promise.all(names.map(ask));
      assert.equal((await ask('Otto')).choices[0]?.text, together[2]?.choices[0]?.text);
      assert.ok(together.every(({ usage }) => usage?.completion_tokens === 8));
    });
    it('streams beside each other do not mix', async () => {
      const texts = await Promise.all(
        [1, 2, 3, 4].map(async () => {
          const chunks = await Array.fromAsync(await streamed({ max_tokens: 12 }));
          return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
        }),
      );
      assert.equal(new Set(texts).size, 1);
    });
  });

  describe('keys and quotas', () => {
    const ask = (name: string, more: Partial<Chat> = {}) =>
      clientOf(lockedUrl, keys[name]?.key ?? '').chat.completions.create({
        model: 'tiny',
        messages: MESSAGES,
        max_tokens: 4,
        temperature: 0,
        ...more,
      });

    it('a valid key is let in, and the words are the same', async () => {
      assert.equal(wordsOf(await ask('app')), wordsOf(await chat({ max_tokens: 4 })));
    });
    it('a wrong key is not: 401', async () => {
      const error = await refused(clientOf(lockedUrl, 'tsr-wrong').models.list(), 401, 'invalid_api_key');
      assert.ok(error instanceof OpenAI.AuthenticationError);
    });
    it('no key: 401', async () => assert.equal((await fetch(`${lockedUrl}/v1/models`)).status, 401));
    it('a revoked key: 401 at once', async () => {
      assert.ok(await clientOf(lockedUrl, keys.gone?.key ?? '').models.list());
      const words = ['gateway', 'keys', 'revoke', keys.gone?.id ?? '', '--data-dir', join(folder, 'locked')];
      assert.equal((await runCli(words)).code, 0);
      await refused(ask('gone'), 401, 'invalid_api_key');
    });
    it('more tokens than a minute has: 429 with the time to wait', async () => {
      const error = await refused(ask('small', { max_tokens: 60 }), 429, 'rate_limit_exceeded');
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.ok(Number(error.headers?.get('retry-after')) >= 1);
    });
    it('the list of keys shows none of them', async () => {
      const { stdout } = await runCli(['gateway', 'keys', 'list', '--json', '--data-dir', join(folder, 'locked')]);
      assert.match(stdout, /"name":"app"/);
      for (const { key } of Object.values(keys)) assert.ok(!stdout.includes(key));
      assert.doesNotMatch(stdout, /hash/);
    });
    it('listening for others without keys is refused', async () => {
      const words = ['gateway', '--host', '0.0.0.0', '--port', '0', '--data-dir', join(folder, 'open')];
      const endpoint = String(net.lines.find((line) => line.event === 'chain-ready')?.endpoint);
      const { code, stderr } = await runCli([...words, '--rpc', endpoint]);
      assert.equal(code, 78, stderr);
      assert.match(stderr, /GATEWAY_KEYS_NEEDED/);
    });
  });

  describe('TypeScript programs', () => {
    let client: TextClient;

    before(async () => {
      const endpoint = String(net.lines.find((line) => line.event === 'chain-ready')?.endpoint);
      client = await createClient({ dataDir: join(folder, 'program'), rpc: [endpoint] });
    });
    after(() => client.close());

    it('createClient() gives the same words, piece by piece, with the route', async () => {
      const answer = client.ask(MESSAGES, { maxTokens: 6 });
      const pieces = await Array.fromAsync(answer);
      assert.equal(pieces.join(''), wordsOf(await chat()));
      assert.ok(pieces.length > 1);
      assert.equal(answer.finish, 'length');
      assert.ok(answer.route.length >= 2);
    });
    it('continues a text up to a stop', async () => {
      const answer = client.ask(PROMPT, { maxTokens: 24, stop: ['there'] });
      const text = (await Array.fromAsync(answer)).join('');
      const whole = String(net.lines.find((line) => line.event === 'generated')?.text);
      assert.equal(text, whole.slice(0, whole.indexOf('there')));
      assert.equal(answer.finish, 'stop');
    });
  });

  describe('health', () => {
    it('is alive', async () => assert.equal((await fetch(`${url}/livez`)).status, 200));
    it('is ready', async () => {
      const response = await fetch(`${url}/readyz`);
      const { checks } = (await response.json()) as { checks: Record<string, { ok: boolean }> };
      assert.equal(response.status, 200, JSON.stringify(checks));
      assert.deepEqual(Object.keys(checks), ['chain', 'coverage', 'peers']);
    });
  });
});
