import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capacityOf } from '../../../src/gateway/capacity.ts';
import { type Emit, planChoices, runChoices } from '../../../src/gateway/choices.ts';
import { addKey, openKeyRing, readKeys, revokeKey } from '../../../src/gateway/keys.ts';
import type { CommonRequest } from '../../../src/gateway/request.ts';
import { createSlots } from '../../../src/gateway/slots.ts';
import { type ScriptedBackend, scriptedBackend } from './support.ts';

const never = new AbortController().signal;

describe('gateway: slots', () => {
  it('lets so many run, the rest in order, and turns the rest away', async () => {
    const slots = createSlots({ running: () => 1, waiting: 2 });
    const order: string[] = [];
    const leave = await slots.take('', never);
    const first = slots.take('', never).then((next) => {
      order.push('first');
      return next;
    });
    const second = slots.take('', never).then(() => order.push('second'));
    await assert.rejects(slots.take('', never), { code: 'server_busy' });
    leave();
    leave(); // twice is once
    (await first)();
    await second;
    assert.deepEqual(order, ['first', 'second']);
    assert.deepEqual([slots.running, slots.waiting], [1, 0]);
  });

  it('who gives up waiting leaves the queue, and the slot goes to the next', async () => {
    const slots = createSlots({ running: () => 1, waiting: 2 });
    const leave = await slots.take('', never);
    const controller = new AbortController();
    const gone = slots.take('', controller.signal);
    const next = slots.take('', never);
    controller.abort(new Error('gone'));
    await assert.rejects(gone, /gone/);
    leave();
    (await next)();
    assert.deepEqual([slots.running, slots.waiting], [0, 0]);
  });

  it('a turn that comes in the moment of giving up is handed on', async () => {
    const slots = createSlots({ running: () => 1, waiting: 1 });
    const leave = await slots.take('', never);
    const controller = new AbortController();
    const gone = slots.take('', controller.signal);
    controller.abort(new Error('gone'));
    leave();
    await assert.rejects(gone, /gone/);
    assert.equal(slots.running, 0);
  });
});

describe('gateway: turns', () => {
  it('who has fewest under way comes next: nobody waits behind all requests of another', async () => {
    const slots = createSlots({ running: () => 2, waiting: 9 });
    const order: string[] = [];
    const ask = async (owner: string) => {
      const leave = await slots.take(owner, never);
      order.push(owner);
      return leave;
    };
    const [first, second] = await Promise.all([ask('busy'), ask('busy')]);
    const busy = [ask('busy'), ask('busy')];
    const other = ask('other');
    first();
    const leave = await other;
    assert.deepEqual(order, ['busy', 'busy', 'other']);
    leave();
    second();
    await Promise.all(busy);
    assert.equal(slots.waiting, 0);
  });

  it('as many run as the network takes at that moment', async () => {
    let most = 1;
    const slots = createSlots({ running: () => most, waiting: 9 });
    await slots.take('', never);
    const waiting = [1, 2, 3].map(() => slots.take('', never));
    assert.equal(slots.running, 1);
    most = 4;
    void slots.take('', never);
    await Promise.all(waiting);
    assert.deepEqual([slots.running, slots.waiting], [4, 1]);
  });

  const shards = (count: number) => ({ shards: Array.from({ length: count }, (_, i) => i) });
  const networks: readonly (readonly [string, readonly ReturnType<typeof shards>[], 'stranger' | 'staked', number])[] =
    [
      ['nobody is known yet', [], 'stranger', 6],
      ['one hoster has all', [shards(4)], 'stranger', 6],
      ['four hosters of three shards in four: two hops each', Array(4).fill(shards(3)), 'stranger', 12],
      ['four hosters of one shard: one route', Array(4).fill(shards(1)), 'stranger', 6],
      ['a client with stake', Array(4).fill(shards(3)), 'staked', 120],
    ];
  for (const [what, offers, asker, most] of networks) {
    it(`capacity when ${what}`, () => assert.equal(capacityOf(offers, 4, asker), most));
  }
});

describe('gateway: answers side by side', () => {
  const request = { model: 'words', n: 3, seed: 1 } as unknown as CommonRequest;
  const plansOf = () => planChoices([[1, 2]], request, { maxTokens: () => 4, alternatives: 0 }, []);
  const meters = { time: () => undefined, ended: () => undefined };

  it('gives everything of all, in the turn in which it comes', async () => {
    const backend = scriptedBackend();
    const slots = createSlots({ running: () => 2, waiting: 9 });
    const texts = ['', '', ''];
    const ends: number[] = [];
    const emit: Emit = (event) => {
      if (event.type === 'text') texts[event.index] += event.text;
      else ends.push(event.index);
      return undefined;
    };
    await runChoices(plansOf(), '', { backend, slots, meters, now: () => 0, emit }, never);
    assert.deepEqual(texts, Array(3).fill('Once upon a time'));
    assert.deepEqual(ends.toSorted(), [0, 1, 2]);
    assert.deepEqual([slots.running, slots.waiting], [0, 0]);
  });

  it('who is waited for draws no further', async () => {
    const backend = scriptedBackend();
    const slots = createSlots({ running: () => 9, waiting: 9 });
    const room = Promise.withResolvers<void>();
    let events = 0;
    const emit: Emit = () => {
      events += 1;
      return room.promise;
    };
    const running = runChoices(plansOf(), '', { backend, slots, meters, now: () => 0, emit }, never);
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(events, 3);
    room.resolve();
    await running;
    assert.equal(events, 15);
  });

  it('when one fails, or who takes the events does, all end and their places are free', async () => {
    const slots = createSlots({ running: () => 2, waiting: 9 });
    const broken = scriptedBackend();
    let begun = 0;
    broken.beforeToken = (place) => {
      begun += 1;
      if (place === 2) throw new Error('broken');
    };
    const run = (backend: ScriptedBackend, emit: Emit) =>
      runChoices(plansOf(), '', { backend, slots, meters, now: () => 0, emit }, never);
    await assert.rejects(
      run(broken, () => undefined),
      /broken/,
    );
    assert.ok(begun < 12);
    const whole = scriptedBackend();
    await assert.rejects(
      run(whole, () => {
        throw new Error('nobody listens');
      }),
      /nobody listens/,
    );
    assert.deepEqual([broken.running, whole.running, slots.running, slots.waiting], [0, 0, 0, 0]);
  });
});

describe('gateway: API keys', () => {
  let folder: string;
  let file: string;
  const quota = { concurrentRequests: 2, tokensPerMinute: 100 };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-keys-'));
    file = join(folder, 'deep', 'gateway-keys.json');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('are kept as hashes, readable by the owner alone, and work at once until they are revoked', () => {
    const ring = openKeyRing(file);
    assert.equal(ring.required(), false);
    const { key, entry } = addKey(file, 'app', quota, 1_000);
    assert.match(key, /^tsr-[\w-]{43}$/);
    assert.ok(!readFileSync(file, 'utf8').includes(key.slice(4)));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(ring.find(key), { id: entry.id, quota });
    assert.equal(ring.find(`${key}x`), undefined);
    const other = addKey(file, 'other', quota, 1_001);
    assert.equal(revokeKey(file, 'nobody'), undefined);
    assert.equal(revokeKey(file, entry.id)?.revoked, true);
    assert.equal(ring.find(key), undefined);
    assert.ok(ring.find(other.key));
    assert.deepEqual(
      readKeys(file).map(({ name, revoked }) => [name, revoked]),
      [
        ['app', true],
        ['other', false],
      ],
    );
  });

  it('stay needed when the file is gone', () => {
    addKey(file, 'app', quota, 1_000);
    const ring = openKeyRing(file);
    assert.equal(ring.required(), true);
    rmSync(file);
    assert.equal(ring.required(), true);
  });
});
