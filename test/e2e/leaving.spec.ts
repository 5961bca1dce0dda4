// What becomes of eight answers that are streaming when somebody leaves: with SIGTERM all are finished, with SIGKILL they go on elsewhere or end
// with an error, never as if they were complete.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Running, startCli, stopCli } from '../support/cli.ts';

const PATIENCE_MS = 8 * 60_000;
const NAMES = ['Ruby', 'Ben', 'Otto', 'Felix', 'Emil', 'Bruno', 'Stella', 'Maya'];
const MAX_TOKENS = 80;
/** A slow machine is given the time that it takes. */
const PATIENT = { TESSERA_DRAIN_SECONDS: '600' };

interface Answer {
  readonly text: string;
  /** Told by the last chunk. */
  readonly finish: string | undefined;
  /** The stream ended with `[DONE]`. */
  readonly done: boolean;
  /** An event with an error, or the connection broke. */
  readonly error: string | undefined;
  /** Nodes on its way: at first, and at last. */
  readonly first: readonly number[];
  readonly last: readonly number[];
}

interface Asked {
  /** Resolves with the first piece of text, and tells the nodes on its way. */
  readonly begun: Promise<readonly number[]>;
  readonly ended: Promise<Answer>;
}

interface Chunk {
  readonly choices?: readonly { readonly text: string; readonly finish_reason: string | null }[];
  readonly tessera?: { readonly route: readonly { readonly node: number }[] };
  readonly error?: { readonly code: string };
}

function ask(url: string, name: string): Asked {
  const begun = Promise.withResolvers<readonly number[]>();
  return { begun: begun.promise, ended: read(url, name, begun.resolve) };
}

async function read(url: string, name: string, onText: (nodes: readonly number[]) => void): Promise<Answer> {
  let answer: Answer = { text: '', finish: undefined, done: false, error: undefined, first: [], last: [] };
  try {
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'tiny',
        prompt: `Once upon a time, there was a brave turtle named ${name}.`,
        max_tokens: MAX_TOKENS,
        temperature: 0,
        stream: true,
      }),
    });
    assert.equal(response.status, 200, await peek(response));
    for await (const data of events(response)) {
      if (data === '[DONE]') answer = { ...answer, done: true };
      else answer = take(answer, JSON.parse(data) as Chunk);
      onText(answer.first);
    }
  } catch (error) {
    answer = { ...answer, error: String(error) };
  }
  onText(answer.first);
  return answer;
}

function take(answer: Answer, { choices = [], tessera, error }: Chunk): Answer {
  const [choice] = choices;
  const nodes = tessera?.route.map(({ node }) => node);
  return {
    ...answer,
    text: answer.text + (choice?.text ?? ''),
    finish: choice?.finish_reason ?? answer.finish,
    first: answer.first.length > 0 ? answer.first : (nodes ?? []),
    last: nodes ?? answer.last,
    error: error?.code ?? answer.error,
  };
}

async function peek(response: Response): Promise<string> {
  return response.ok ? '' : response.text();
}

async function* events(response: Response): AsyncGenerator<string> {
  let text = '';
  for await (const part of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += part;
    const whole = text.split('\n\n');
    text = whole.pop() ?? '';
    for (const event of whole) yield event.replace(/^data: /, '');
  }
}

/** What must be the same, whoever leaves. */
function wordsOf({ text, finish, done, error }: Answer): object {
  return { text, finish, done, error };
}

describe('leaving in mid answer', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let net: Running;
  let gateway: Running;
  let url: string;
  let expected: readonly Answer[];

  async function startGateway(): Promise<Running> {
    const endpoint = String(net.lines.find((line) => line.event === 'chain-ready')?.endpoint);
    const words = ['gateway', '--json', '--rpc', endpoint, '--port', '0', '--data-dir', join(folder, 'gateway')];
    const started = startCli(words, PATIENT);
    url = String((await started.waitFor((line) => line.event === 'gateway-ready')).url);
    return started;
  }

  /** Eight answers, all of which have begun and none of which has ended when something is done to the network. */
  async function disturbed(act: (hop: number) => void): Promise<readonly Answer[]> {
    const asked = NAMES.map((name) => ask(url, name));
    const [way] = await Promise.all(asked.map(({ begun }) => begun));
    act(way?.[0] ?? 0);
    return Promise.all(asked.map(({ ended }) => ended));
  }

  function pidOf(node: number): number {
    return Number(net.lines.find((line) => line.event === 'node-active' && line.id === node)?.pid);
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-leaving-'));
    const words = [
      'devnet',
      '--json',
      '--block-ms',
      '500',
      '--rpc-port',
      '0',
      '--port',
      '0',
      '--max-tokens',
      '8',
      '--hosters',
      '6',
      '--attestors',
      '0',
    ];
    net = startCli([...words, '--data-dir', join(folder, 'net')], PATIENT);
    await net.waitFor((line) => line.event === 'generated');
    gateway = await startGateway();
    expected = await Promise.all(NAMES.map((name) => ask(url, name).ended));
    assert.ok(expected.every(({ done, text }) => done && text.length > 100));
  });

  after(async () => {
    await stopCli(gateway);
    await stopCli(net);
    rmSync(folder, { recursive: true, force: true });
  });

  it('SIGTERM to the gateway: all eight finish with the same words, nobody new is let in, and it leaves', async () => {
    let late: Promise<Response> | undefined;
    const answers = await disturbed(() => {
      gateway.child.kill('SIGTERM');
      late = gateway.waitFor((line) => line.event === 'leaving').then(() => fetch(`${url}/v1/models`));
    });
    assert.equal((await late)?.status, 503);
    assert.deepEqual(answers.map(wordsOf), expected.map(wordsOf));
    const { code, lines, stderr } = await gateway.finished;
    assert.equal(code, 0, stderr);
    assert.equal(lines.find((line) => line.event === 'leaving')?.answers, NAMES.length);
    assert.equal(lines.at(-1)?.event, 'stopped');
    gateway = await startGateway();
  });

  it('SIGTERM to a hoster: all eight finish with the same words on the same way, and it leaves', async () => {
    let victim = 0;
    const answers = await disturbed((hop) => {
      victim = hop;
      process.kill(pidOf(hop), 'SIGTERM');
    });
    assert.deepEqual(answers.map(wordsOf), expected.map(wordsOf));
    const served = answers.filter(({ first }) => first.includes(victim));
    assert.ok(served.length > 0);
    assert.deepEqual(
      served.map(({ last }) => last),
      served.map(({ first }) => first),
      'it finished what it had begun',
    );
    const stopped = await net.waitFor((line) => line.event === 'node-stopped' && line.id === victim);
    assert.equal(stopped.code, 0);
    const after = await ask(url, 'Pip').ended;
    assert.ok(after.done && !after.first.includes(victim), 'nobody asks it any more');
  });

  it('SIGKILL to a hoster: each answer goes on elsewhere with the same words', async () => {
    let victim = 0;
    const answers = await disturbed((hop) => {
      victim = hop;
      process.kill(pidOf(hop), 'SIGKILL');
    });
    for (const { done, error } of answers) assert.ok(done || error !== undefined, 'never a silent end');
    assert.deepEqual(answers.map(wordsOf), expected.map(wordsOf), 'two hosters are left for every shard');
    assert.ok(
      answers.some(({ first, last }) => first.includes(victim) && !last.includes(victim)),
      'it was felt',
    );
  });

  it('SIGKILL to the gateway: every client is told by a broken connection', async () => {
    const answers = await disturbed(() => gateway.child.kill('SIGKILL'));
    for (const { done, error } of answers) assert.ok(done || error !== undefined, 'never a silent end');
    assert.ok(
      answers.some(({ error }) => error !== undefined),
      'it was killed in mid answer',
    );
    gateway = await startGateway();
    const again = await ask(url, 'Ruby').ended;
    assert.equal(again.text, expected[0]?.text, 'the seats of the dead are free again');
  });

  it('SIGTERM to the whole network: its own gateway finishes what it has begun', async () => {
    url = String(net.lines.find((line) => line.event === 'gateway-ready')?.url);
    const answers = await disturbed(() => net.child.kill('SIGTERM'));
    assert.deepEqual(answers.map(wordsOf), expected.map(wordsOf));
    assert.equal((await net.finished).code, 0);
  });
});
