import assert from 'node:assert/strict';
import { createTurnstile } from '../../../src/hoster/turnstile.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const never = new AbortController().signal;
const LIMITS = { strangerDecodes: 2, strangerPrompts: 1 };

/** Jobs that end when they are told to. */
function turnstile() {
  const { pass } = createTurnstile(LIMITS, (peer) => (peer === 'member' ? 1n : 0n));
  const running: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (name: string, rows = 1, signal = never) => {
    const [peer] = name.split('/');
    const job = async () => {
      running.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      running.splice(running.indexOf(name), 1);
    };
    return pass({ peer: peer as PeerId, rows }, job, signal);
  };
  const end = async (name: string) => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { pass, running, start, end };
}

describe('hoster: turnstile', () => {
  it('so many rows of strangers are decoded at once, beside one prompt', async () => {
    const { running, start, end } = turnstile();
    const jobs = [start('a'), start('b'), start('c'), start('d', 64), start('e', 64)];
    assert.deepEqual(running, ['a', 'b', 'd']);
    await end('b');
    assert.deepEqual(running, ['a', 'd', 'c']);
    await end('d');
    assert.deepEqual(running, ['a', 'c', 'e']);
    for (const name of ['a', 'c', 'e']) await end(name);
    await Promise.all(jobs);
  });

  it('who has stake waits for nobody', async () => {
    const { running, start, end } = turnstile();
    const jobs = [start('a'), start('b'), start('c'), start('member/1'), start('member/2', 64), start('member/3', 64)];
    assert.deepEqual(running, ['a', 'b', 'member/1', 'member/2', 'member/3']);
    for (const name of ['a', 'b', 'c', 'member/1', 'member/2', 'member/3']) await end(name);
    await Promise.all(jobs);
  });

  it('a peer with many sessions has one turn of each round', async () => {
    const { running, start, end } = turnstile();
    const order = ['a/1', 'a/2', 'b/1', 'a/3', 'b/2', 'a/4', 'a/5'];
    const jobs = ['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'b/1', 'b/2'].map((name) => start(name));
    const seen: string[] = [];
    while (running.length > 0) {
      seen.push(running[0] ?? '');
      await end(running[0] ?? '');
    }
    assert.deepEqual(seen.toSorted(), order.toSorted());
    assert.deepEqual(seen, ['a/1', 'a/2', 'a/3', 'b/1', 'a/4', 'b/2', 'a/5']);
    await Promise.all(jobs);
  });

  it('who gives up while waiting leaves no hole, and a job that fails gives its place back', async () => {
    const { running, start, end, pass } = turnstile();
    const gone = new AbortController();
    const jobs = [start('a'), start('b')];
    const left = start('c', 1, gone.signal);
    const next = start('d');
    gone.abort(new Error('gone'));
    await assert.rejects(left, /gone/);
    await end('a');
    assert.deepEqual(running, ['b', 'd']);
    await end('b');
    await end('d');
    await Promise.all([...jobs, next]);
    const fails = () => Promise.reject(new Error('broken'));
    for (let i = 0; i < 5; i += 1) await assert.rejects(pass({ peer: 'x' as PeerId, rows: 1 }, fails, never), /broken/);
  });
});
