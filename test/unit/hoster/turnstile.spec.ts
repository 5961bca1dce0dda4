import assert from 'node:assert/strict';
import { createTurnstile, EXPECT_MS, PRESENCE_MS } from '../../../src/hoster/turnstile.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const never = new AbortController().signal;
const LIMITS = { strangerDecodes: 2, strangerDecodesBesideStake: 2, strangerPrompts: 1 };

/** Jobs that end when they are told to. */
function turnstile(limits = LIMITS) {
  const clock = { ms: 0 };
  const stakeOf = (peer: PeerId) => (peer.startsWith('member') ? 1n : 0n);
  const { pass, expect } = createTurnstile(limits, stakeOf, () => clock.ms);
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
  return { pass, running, start, end, clock, expect: (peer: string) => expect(peer as PeerId) };
}

function ended(job: Promise<unknown>): Promise<boolean> {
  return job.then(() => true);
}

function turn(): Promise<boolean> {
  return new Promise((resolve) => setImmediate(() => resolve(false)));
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

  it('while work with stake is on its way no stranger begins, and that only half of the time', async () => {
    const { running, start, end, expect, clock } = turnstile();
    expect('stranger');
    const jobs = [start('a')];
    expect('member');
    jobs.push(start('b'), start('c'), start('d', 64));
    await end('a');
    assert.deepEqual(running, []);
    clock.ms = 10;
    jobs.push(start('member'));
    assert.deepEqual(running, ['member']);
    await end('member');
    assert.deepEqual(running, ['b', 'c', 'd']);
    clock.ms = 19;
    expect('member');
    await end('b');
    jobs.push(start('e'));
    assert.deepEqual(running, ['c', 'd', 'e']);
    clock.ms = 20;
    expect('member');
    expect('member2');
    jobs.push(start('f', 64));
    for (const name of ['c', 'd', 'e']) await end(name);
    assert.deepEqual(running, []);
    for (const name of ['member', 'member2']) {
      jobs.push(start(name));
      await end(name);
    }
    assert.deepEqual(running, ['f']);
    await end('f');
    await Promise.all(jobs);
  });

  it('batches of strangers stay small while clients with stake come and go', async () => {
    const { running, start, end, clock } = turnstile({ ...LIMITS, strangerDecodes: 3, strangerDecodesBesideStake: 1 });
    const jobs = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => start(name));
    assert.deepEqual(running, ['a', 'b', 'c']);
    jobs.push(start('member'));
    await end('member');
    await end('a');
    await end('b');
    assert.deepEqual(running, ['c']);
    await end('c');
    assert.deepEqual(running, ['d']);
    clock.ms = PRESENCE_MS;
    await end('d');
    assert.deepEqual(running, ['e', 'f']);
    for (const name of ['e', 'f']) await end(name);
    await Promise.all(jobs);
  });

  it('who does not come is not expected for long', async () => {
    const { start, end, expect } = turnstile();
    expect('member');
    const job = start('a');
    const signal = AbortSignal.timeout(100 * EXPECT_MS);
    while (!signal.aborted && !(await Promise.race([ended(job), turn()]))) await end('a');
    await job;
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
