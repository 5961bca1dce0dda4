import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { ClientError } from '../../../src/client/generation.ts';
import type { Vitals } from '../../../src/gateway/health.ts';
import { GATEWAY_METRIC_NAMES } from '../../../src/gateway/metrics.ts';
import { createGateway } from '../../../src/gateway/server.ts';
import { silentLog } from '../../../src/util/log.ts';
import { eventsOf, NO_KEYS, type Served, scriptedBackend, serve, WORDS } from './support.ts';

const TEXT = WORDS.join('');

interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

interface ChatBody {
  readonly id: string;
  readonly choices: readonly { readonly message: { readonly content: string }; readonly finish_reason: string }[];
  readonly usage: unknown;
}

describe('gateway: over HTTP', () => {
  let served: Served;

  beforeEach(async () => {
    served = await serve();
  });
  afterEach(() => served.gateway.close());

  it('answers a chat in OpenAI form', async () => {
    const response = await served.chat();
    assert.equal(response.status, 200);
    assert.match(response.headers.get('x-request-id') ?? '', /^req_[0-9a-f]{24}$/);
    const { id, ...body } = (await response.json()) as ChatBody;
    assert.match(id, /^chatcmpl-[0-9a-f]{24}$/);
    assert.deepEqual(body, {
      object: 'chat.completion',
      created: 1_000,
      model: 'words',
      system_fingerprint: 'fp_ababababab',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: TEXT, refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 2, completion_tokens: 9, total_tokens: 11 },
      tessera: { route: [] },
    });
  });

  it('streams the same, chunk by chunk, and ends with [DONE]', async () => {
    const response = await served.chat({ stream: true, stream_options: { include_usage: true } });
    assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.match(response.headers.get('x-request-id') ?? '', /^req_/);
    const events = await eventsOf(response);
    assert.equal(events.pop(), '[DONE]');
    const chunks = events.map((event) => JSON.parse(event));
    assert.deepEqual(chunks.at(-1).usage, { prompt_tokens: 2, completion_tokens: 9, total_tokens: 11 });
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null && chunk.object === 'chat.completion.chunk'));
    assert.deepEqual(chunks[0].choices[0].delta, { role: 'assistant', content: '', refusal: null });
    assert.deepEqual(
      chunks.slice(1, -2).map((chunk) => chunk.choices[0].delta.content),
      WORDS,
    );
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  });

  it('ends before a stop text that spans tokens, and counts what was drawn', async () => {
    const body = (await (await served.chat({ stop: ['there w'] })).json()) as ChatBody;
    assert.equal(body.choices[0]?.message.content, 'Once upon a time ');
    assert.equal(body.choices[0]?.finish_reason, 'stop');
    assert.deepEqual(body.usage, { prompt_tokens: 2, completion_tokens: 6, total_tokens: 8 });
  });

  it('cuts at max_tokens with the reason length', async () => {
    const body = (await (await served.chat({ max_completion_tokens: 2 })).json()) as ChatBody;
    assert.equal(body.choices[0]?.message.content, 'Once upon');
    assert.equal(body.choices[0]?.finish_reason, 'length');
  });

  it('draws n answers with seeds of their own, a given seed first', async () => {
    await (await served.chat({ n: 3, seed: -1, temperature: 0.5, top_p: 0 })).json();
    const options = served.backend.asked.map((one) => one.options);
    assert.deepEqual(
      options.map(({ seed }) => seed),
      [2n ** 64n - 1n, 0n, 1n],
    );
    assert.ok(options.every(({ temperature, topP }) => temperature === 0.5 && topP === 1e-6));
  });

  it('tells logprobs with the likeliest tokens', async () => {
    const response = await served.chat({ max_tokens: 1, logprobs: true, top_logprobs: 2 });
    const body = (await response.json()) as { choices: { logprobs: unknown }[] };
    assert.deepEqual(body.choices[0]?.logprobs, {
      content: [
        {
          token: 'Once',
          logprob: -0.5,
          bytes: [79, 110, 99, 101],
          top_logprobs: [
            { token: 'Once', logprob: -0.5, bytes: [79, 110, 99, 101] },
            { token: ' upon', logprob: -1.5, bytes: [32, 117, 112, 111, 110] },
          ],
        },
      ],
      refusal: null,
    });
  });

  it('older completions: several prompts, logprobs with offsets', async () => {
    const response = await served.post('/v1/completions', {
      model: 'words',
      prompt: ['ab', 'cde'],
      max_tokens: 2,
      logprobs: 1,
    });
    const body = (await response.json()) as { object: string; choices: object[]; usage: unknown };
    assert.equal(body.object, 'text_completion');
    const logprobs = {
      tokens: ['Once', ' upon'],
      token_logprobs: [-0.5, -0.5],
      top_logprobs: [{ Once: -0.5 }, { ' upon': -0.5 }],
      text_offset: [0, 4],
    };
    assert.deepEqual(
      body.choices,
      [0, 1].map((index) => ({ text: 'Once upon', index, logprobs, finish_reason: 'length' })),
    );
    assert.deepEqual(body.usage, { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 });
    await (await served.post('/v1/completions', { model: 'words', prompt: [5, 6, 7] })).json();
    assert.deepEqual(served.backend.asked[2]?.prompt, [5, 6, 7]);
    assert.equal(served.backend.asked[2]?.options.maxTokens, 16);
    assert.equal((await served.post('/v1/completions', { model: 'words', prompt: [1_000] })).status, 400);
  });

  const messages = [{ role: 'user', content: 'hi' }];
  const refusals: Record<string, { readonly body: unknown; readonly param: string | null; readonly code: string }> = {
    'no model': { body: { messages }, param: 'model', code: 'missing_required_parameter' },
    'no messages': { body: { model: 'words' }, param: 'messages', code: 'missing_required_parameter' },
    'empty messages': { body: { model: 'words', messages: [] }, param: 'messages', code: 'invalid_value' },
    'a role that is none': {
      body: { model: 'words', messages: [{ role: 'king', content: '' }] },
      param: 'messages[0].role',
      code: 'invalid_value',
    },
    'a picture': {
      body: { model: 'words', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      param: 'messages[0].content',
      code: 'invalid_type',
    },
    'too hot': { body: { model: 'words', messages, temperature: 2.1 }, param: 'temperature', code: 'invalid_value' },
    'temperature as text': {
      body: { model: 'words', messages, temperature: '1' },
      param: 'temperature',
      code: 'invalid_type',
    },
    'n of 0': { body: { model: 'words', messages, n: 0 }, param: 'n', code: 'invalid_value' },
    'n of 9': { body: { model: 'words', messages, n: 9 }, param: 'n', code: 'invalid_value' },
    'five stops': {
      body: { model: 'words', messages, stop: ['a', 'b', 'c', 'd', 'e'] },
      param: 'stop',
      code: 'invalid_type',
    },
    'an empty stop': { body: { model: 'words', messages, stop: '' }, param: 'stop', code: 'invalid_value' },
    'top_logprobs without logprobs': {
      body: { model: 'words', messages, top_logprobs: 2 },
      param: 'top_logprobs',
      code: 'invalid_value',
    },
    '21 top_logprobs': {
      body: { model: 'words', messages, logprobs: true, top_logprobs: 21 },
      param: 'top_logprobs',
      code: 'invalid_value',
    },
    'a penalty': {
      body: { model: 'words', messages, presence_penalty: 1 },
      param: 'presence_penalty',
      code: 'invalid_value',
    },
    tools: { body: { model: 'words', messages, tools: [{ type: 'function' }] }, param: 'tools', code: 'invalid_value' },
    'a parameter that is none': {
      body: { model: 'words', messages, tempo: 3 },
      param: 'tempo',
      code: 'unknown_parameter',
    },
    'more than the context': {
      body: { model: 'words', messages, max_tokens: 63 },
      param: 'messages',
      code: 'context_length_exceeded',
    },
    'a text that cannot fit, without encoding it': {
      body: { model: 'words', messages: [{ role: 'user', content: 'x'.repeat(64 * 64 + 1) }] },
      param: 'messages',
      code: 'context_length_exceeded',
    },
    'a body that is a list': { body: [], param: null, code: 'invalid_type' },
    'a body that is no JSON': { body: '{"model"', param: null, code: 'invalid_json' },
  };
  for (const [what, { body, param, code }] of Object.entries(refusals)) {
    it(`refuses ${what}, by name`, async () => {
      const response = await served.post('/v1/chat/completions', body);
      assert.equal(response.status, 400);
      const { error } = (await response.json()) as ErrorBody;
      assert.deepEqual(
        { type: error.type, param: error.param, code: error.code },
        { type: 'invalid_request_error', param, code },
      );
      assert.equal(served.backend.asked.length, 0);
    });
  }

  it('repeats no words of a person in its errors', async () => {
    const response = await served.chat({ messages: [{ role: 'user', content: { secret: 'my diary' } }] });
    assert.equal(response.status, 400);
    assert.doesNotMatch(await response.text(), /diary/);
  });

  it('takes what changes nothing', async () => {
    const harmless = { user: 'u', metadata: { a: 'b' }, frequency_penalty: 0, logit_bias: {}, tools: [], seed: null };
    assert.equal((await served.chat(harmless)).status, 200);
  });

  it('other errors in the same form', async () => {
    const large = await served.post('/v1/chat/completions', { padding: 'x'.repeat(1 << 20) });
    const cases: readonly [Response, number, string][] = [
      [await served.chat({ model: 'gpt-5' }), 404, 'model_not_found'],
      [await fetch(`${served.gateway.url}/v1/models/none`), 404, 'model_not_found'],
      [await fetch(`${served.gateway.url}/v1/nothing`), 404, 'unknown_url'],
      [await fetch(`${served.gateway.url}/v1/chat/completions`), 404, 'unknown_url'],
      [await served.post('/v1/chat/completions', 'x', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type'],
      [large, 413, 'request_too_large'],
      [await served.post('/v1/embeddings', { model: 'words', input: 'x' }), 501, 'not_implemented'],
    ];
    for (const [response, status, code] of cases) {
      assert.equal(response.status, status, code);
      assert.equal(((await response.json()) as ErrorBody).error.code, code);
      assert.match(response.headers.get('x-request-id') ?? '', /^req_/);
    }
  });

  it('a failure before the first token is a status with Retry-After, later an event without [DONE]', async () => {
    const failure = new ClientError({ code: 'NO_ROUTE', missing: [2], failures: [] }, 'no route');
    served.backend.beforeToken = () => Promise.reject(failure);
    const early = await served.chat({ stream: true });
    assert.equal(early.status, 503);
    assert.equal(early.headers.get('retry-after'), '10');
    served.backend.beforeToken = (place) => (place < 2 ? undefined : Promise.reject(failure));
    const late = await served.chat({ stream: true });
    assert.equal(late.status, 200);
    const events = await eventsOf(late);
    assert.equal(JSON.parse(events.at(-1) ?? '').error.code, 'no_route');
    assert.ok(!events.includes('[DONE]'));
    assert.equal(served.backend.running, 0);
  });

  it('hanging up ends the generation, streamed or not', async () => {
    for (const stream of [true, false]) {
      const started = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      served.backend.beforeToken = async (place, signal) => {
        if (place < 1) return;
        started.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        ended.resolve();
      };
      const controller = new AbortController();
      const asking = fetch(`${served.gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'words', stream, messages }),
        signal: controller.signal,
      }).then((response) => response.text());
      await started.promise;
      controller.abort();
      await assert.rejects(asking);
      await ended.promise;
    }
    // Nobody is counted who has gone: a gateway that leaves does not wait for them.
    await served.gateway.drain(AbortSignal.timeout(5_000));
    assert.equal(served.gateway.open, 0);
  });

  it('a reader that does not read holds the generation back', async () => {
    await served.gateway.close();
    const words = Array.from({ length: 60 }, () => 'x'.repeat(1 << 18));
    served = await serve({ words });
    let drawn = 0;
    const twenty = Promise.withResolvers<void>();
    served.backend.beforeToken = (place) => {
      drawn = place;
      if (place === 3) twenty.resolve();
    };
    const { port } = new URL(served.gateway.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.pause();
    const body = JSON.stringify({ model: 'words', stream: true, messages });
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
    socket.write(head + body);
    await twenty.promise;
    for (let i = 0; i < 200; i += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(drawn < 50, `15 MB would have been drawn, ${drawn} tokens were`);
    socket.destroy();
  });

  it('sockets that send half a request and read nothing keep nobody out', async () => {
    await served.gateway.close();
    served = await serve({ connections: 3 });
    const { port } = new URL(served.gateway.url);
    const halves = [
      '',
      'GET /health HTTP/1.1\r\n',
      'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
    ];
    const sockets = Array.from({ length: 9 }, (_, i) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined).pause();
      socket.write(halves[i % halves.length] ?? '');
      return socket;
    });
    try {
      await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'connect')));
      for (let i = 0; i < 5; i += 1) assert.equal((await served.chat()).status, 200);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  it('closing ends what is under way', async () => {
    const started = Promise.withResolvers<void>();
    served.backend.beforeToken = async (_, signal) => {
      started.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    };
    const asking = served.chat().then(
      (response) => response.status,
      () => 'broken off',
    );
    await started.promise;
    await served.gateway.close();
    assert.ok([503, 'broken off'].includes(await asking));
    assert.equal(served.backend.running, 0);
  });
});

describe('gateway: many at once', () => {
  it('300 streams that all wait for each other in mid answer, without an error', async () => {
    const served = await serve({ capacity: 300 });
    const all = Promise.withResolvers<void>();
    let begun = 0;
    served.backend.beforeToken = (place) => {
      if (place !== 3) return;
      begun += 1;
      if (begun === 300) all.resolve();
      return all.promise;
    };
    const answers = await Promise.all(
      Array.from({ length: 300 }, async () => eventsOf(await served.chat({ stream: true }))),
    );
    assert.ok(answers.every((events) => events.length === 12 && events.at(-1) === '[DONE]'));
    await served.gateway.close();
  });

  it('300 requests on a network with room for six wait for their turn, and none is sent away', async () => {
    const served = await serve();
    const statuses = await Promise.all(Array.from({ length: 300 }, async () => (await served.chat()).status));
    assert.deepEqual(new Set(statuses), new Set([200]));
    await served.gateway.close();
  });
});

describe('gateway: leaving', () => {
  it('takes nothing new, finishes what is under way, and says so', async () => {
    const served = await serve();
    const held = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    served.backend.beforeToken = (place) => {
      if (place < 3) return;
      started.resolve();
      return held.promise;
    };
    const streaming = served.chat({ stream: true });
    await started.promise;
    const gone = { drained: false };
    const draining = served.gateway.drain(new AbortController().signal).then(() => {
      gone.drained = true;
    });
    const refused = await served.chat();
    assert.equal(refused.status, 503);
    assert.equal(((await refused.json()) as ErrorBody).error.code, 'closing');
    assert.ok(refused.headers.has('retry-after'));
    const ready = await fetch(`${served.gateway.url}/readyz`);
    assert.deepEqual([ready.status, ((await ready.json()) as { status: string }).status], [503, 'leaving']);
    assert.deepEqual([served.gateway.open, gone.drained], [1, false]);
    held.resolve();
    const events = await eventsOf(await streaming);
    assert.equal(events.at(-1), '[DONE]');
    await draining;
    assert.equal(served.gateway.open, 0);
    await served.gateway.close();
  });

  it('does not wait for ever', async () => {
    const served = await serve();
    const started = Promise.withResolvers<void>();
    served.backend.beforeToken = async (_, signal) => {
      started.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    };
    const asking = served.chat().catch(() => undefined);
    await started.promise;
    await served.gateway.drain(AbortSignal.abort());
    assert.equal(served.gateway.open, 1);
    await served.gateway.close();
    await asking;
  });
});

describe('gateway: who may ask', () => {
  const quota = { concurrentRequests: 1, tokensPerMinute: 60 };
  const keys = { required: () => true, find: (key: string) => (key === 'tsr-good' ? { id: 'k1', quota } : undefined) };
  const good = { authorization: 'Bearer tsr-good' };

  it('refuses to listen for others without keys', async () => {
    const deps = {
      backend: scriptedBackend(),
      keys: NO_KEYS,
      vitals: () => ({}) as Vitals,
      now: () => 0,
      nowS: () => 0,
      log: silentLog,
    };
    await assert.rejects(createGateway({ host: '0.0.0.0', port: 0 }, deps), { code: 'GATEWAY_KEYS_NEEDED' });
  });

  it('tells when the port is taken', async () => {
    const served = await serve();
    const port = Number(new URL(served.gateway.url).port);
    await assert.rejects(serve({ port }), { code: 'GATEWAY_PORT_BUSY' });
    await served.gateway.close();
  });

  it('needs a valid key, and health does not', async () => {
    const served = await serve({ keys });
    for (const headers of [{}, { authorization: 'Bearer tsr-bad' }, { authorization: 'Basic tsr-good' }]) {
      const response = await served.chat({}, headers as Record<string, string>);
      assert.equal(response.status, 401);
      assert.equal(((await response.json()) as ErrorBody).error.code, 'invalid_api_key');
    }
    assert.equal((await served.chat({ max_tokens: 5 }, good)).status, 200);
    assert.equal((await fetch(`${served.gateway.url}/livez`)).status, 200);
    await served.gateway.close();
  });

  it('counts tokens per minute: 429 with the seconds to wait, and again when they have passed', async () => {
    const served = await serve({ keys });
    // 2 of the prompt and 40 reserved; 2 and 9 used
    assert.equal((await served.chat({ max_tokens: 40 }, good)).status, 200);
    const refused = await served.chat({ max_tokens: 58 }, good);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('retry-after'), '11');
    served.clock.ms = 11_000;
    assert.equal((await served.chat({ max_tokens: 58 }, good)).status, 200);
    await served.gateway.close();
  });

  it('counts requests that are open at once', async () => {
    const served = await serve({ keys });
    const held = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    served.backend.beforeToken = () => {
      started.resolve();
      return held.promise;
    };
    const first = served.chat({ max_tokens: 5 }, good);
    await started.promise;
    const second = await served.chat({ max_tokens: 5 }, good);
    assert.equal(second.status, 429);
    assert.equal(second.headers.get('retry-after'), '1');
    held.resolve();
    assert.equal((await first).status, 200);
    assert.equal((await served.chat({ max_tokens: 5 }, good)).status, 200);
    await served.gateway.close();
  });

  it('keys learn nothing of each other: no answer is kept, no quota shared, a wrong key is as good as a revoked one', async () => {
    const two = {
      required: () => true,
      find: (key: string) => (/^tsr-[ab]$/.test(key) ? { id: key.slice(-1), quota } : undefined),
    };
    const served = await serve({ keys: two });
    const ask = (key: string) => served.chat({ max_tokens: 40 }, { authorization: `Bearer ${key}` });
    const answers = [await ask('tsr-a'), await ask('tsr-b')];
    const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as (ChatBody & { usage: object })[];
    // The same words cost the second as much as the first, and both were drawn anew.
    assert.equal(served.backend.asked.length, 2);
    assert.notEqual(bodies[0]?.id, bodies[1]?.id);
    assert.deepEqual(bodies[0]?.usage, { prompt_tokens: 2, completion_tokens: 9, total_tokens: 11 });
    assert.deepEqual(bodies[1]?.usage, bodies[0]?.usage);
    const spent = await served.chat({ max_tokens: 58 }, { authorization: 'Bearer tsr-a' });
    assert.deepEqual([spent.status, (await ask('tsr-b')).status], [429, 200]);
    const [wrong, revoked] = await Promise.all(['tsr-x', 'tsr-revoked'].map(async (key) => (await ask(key)).json()));
    assert.deepEqual(wrong, revoked);
    assert.equal(served.backend.asked.length, 3, 'who is nobody draws nothing');
    await served.gateway.close();
  });

  it('tells pages elsewhere nothing unless told to', async () => {
    const served = await serve();
    const headers = { origin: 'https://app.example' };
    const asked = await fetch(`${served.gateway.url}/v1/models`, { headers });
    assert.equal(asked.headers.get('access-control-allow-origin'), null);
    const preflight = await fetch(`${served.gateway.url}/v1/models`, { method: 'OPTIONS', headers });
    assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [404, null]);
    await served.gateway.close();
  });

  it('answers to its own name only, and to pages elsewhere only when told to', async () => {
    const served = await serve({ corsOrigins: ['https://app.example'] });
    const { port } = new URL(served.gateway.url);
    const raw = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.write('GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'),
      );
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('close', () => resolve(text));
    });
    assert.match(raw, /^HTTP\/1\.1 403 /);
    const from = (origin: string) => fetch(`${served.gateway.url}/v1/models`, { headers: { origin } });
    assert.equal((await from('https://app.example')).headers.get('access-control-allow-origin'), 'https://app.example');
    assert.equal((await from('https://other.example')).headers.get('access-control-allow-origin'), null);
    const preflight = await fetch(`${served.gateway.url}/v1/models`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-headers': 'authorization' },
    });
    assert.equal(preflight.status, 204);
    await served.gateway.close();
  });

  it('is ready when the chain moves, every shard is served and peers are there', async () => {
    let vitals: Vitals = { block: 7, headAgeMs: 10, missing: [], peers: 2 };
    const served = await serve({ vitals: () => vitals });
    const ready = async (): Promise<number> => (await fetch(`${served.gateway.url}/readyz`)).status;
    assert.equal(await ready(), 200);
    const bad: Partial<Vitals>[] = [{ block: undefined }, { headAgeMs: 60_001 }, { missing: [2] }, { peers: 0 }];
    for (const change of bad) {
      vitals = { block: 7, headAgeMs: 10, missing: [], peers: 2, ...change };
      assert.equal(await ready(), 503, JSON.stringify(change));
    }
    await served.gateway.close();
  });

  it('counts for Prometheus, and tells nothing of what was asked', async () => {
    const served = await serve();
    await (await served.chat({ max_tokens: 3, messages: [{ role: 'user', content: 'diary' }] })).text();
    await (await served.chat({ n: 0 })).text();
    const text = await (await fetch(`${served.gateway.url}/metrics`)).text();
    assert.match(text, /^tessera_http_requests_total\{route="\/v1\/chat\/completions",status="200"\} 1$/m);
    assert.match(text, /^tessera_http_requests_total\{route="\/v1\/chat\/completions",status="400"\} 1$/m);
    assert.match(text, /^tessera_prompt_tokens_total 5$/m);
    assert.match(text, /^tessera_generation_tokens_total 3$/m);
    assert.match(text, /^tessera_time_to_first_token_seconds_count 1$/m);
    assert.match(text, /^tessera_inter_token_latency_seconds_count 2$/m);
    assert.match(text, /^tessera_e2e_request_latency_seconds_count 1$/m);
    assert.match(text, /^tessera_request_queue_time_seconds_count 1$/m);
    assert.match(text, /^tessera_token_overhead_seconds_count 0$/m);
    assert.match(text, /^tessera_request_success_total\{finished_reason="length"\} 1$/m);
    assert.match(text, /^tessera_num_requests_running 0$/m);
    assert.doesNotMatch(text, /diary/);
    await served.gateway.close();
  });

  it('tells how long things took, by the clock that it was given', async () => {
    const served = await serve();
    served.backend.beforeToken = (place) => {
      served.clock.ms += place === 0 ? 300 : 20;
    };
    await eventsOf(await served.chat({ stream: true, max_tokens: 3 }));
    const text = await (await fetch(`${served.gateway.url}/metrics`)).text();
    const sum = (name: string) => Number(new RegExp(`^${name}_sum (.*)$`, 'm').exec(text)?.[1]);
    const near = (name: string, seconds: number) =>
      assert.ok(Math.abs(sum(name) - seconds) < 1e-9, `${name} ${sum(name)}`);
    near('tessera_time_to_first_token_seconds', 0.3);
    near('tessera_inter_token_latency_seconds', 0.04);
    near('tessera_e2e_request_latency_seconds', 0.34);
    near('tessera_request_queue_time_seconds', 0);
    assert.match(text, /^tessera_token_overhead_seconds_count 3$/m);
    for (const name of GATEWAY_METRIC_NAMES) assert.ok(text.includes(`# TYPE ${name} `), name);
    await served.gateway.close();
  });

  it('logs no prompt and no key', async () => {
    const lines: string[] = [];
    const note = (message: string, facts = {}): void => void lines.push(JSON.stringify([message, facts]));
    const log = { debug: note, info: note, warn: note, error: note, child: () => log };
    const served = await serve({ keys, log });
    await (await served.chat({ max_tokens: 3, messages: [{ role: 'user', content: 'my diary' }] }, good)).text();
    await (await served.chat({ max_tokens: 3, stream: true }, good)).text();
    await (await served.chat({ messages: 'my diary' }, { authorization: 'Bearer tsr-bad' })).text();
    await served.gateway.close();
    const all = lines.join('\n');
    assert.doesNotMatch(all, /diary|tsr-|Once/);
    assert.equal(lines.filter((line) => line.includes('"answered"')).length, 3, all);
    assert.match(all, /"tokens":3,"key":"k1"/);
  });
});
