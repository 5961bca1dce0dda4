import assert from 'node:assert/strict';
import { ASK_PAUSE_MS, createDiscovery, ENOUGH_PEERS, FIRST_ASK_PAUSE_MS } from '../../../src/p2p/discovery.ts';
import type { PeerId } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';

function story(connected: string[], options: { missing?: string[]; known?: Record<string, string[]> } = {}) {
  const asked: string[] = [];
  const dialled: string[] = [];
  const discovery = createDiscovery({
    connected: () => connected as PeerId[],
    missing: () => (options.missing ?? []) as PeerId[],
    async ask(peer, wanted) {
      asked.push(`${peer}(${wanted})`);
      const named = options.known?.[peer];
      if (named === undefined) throw new Error('no answer');
      return named as PeerId[];
    },
    async dial(peer) {
      dialled.push(peer);
      if (peer === 'dead') throw new Error('no answer');
      connected.push(peer);
    },
    log: silentLog,
  });
  return { discovery, asked, dialled, connected };
}

describe('discovery', () => {
  it('asks whom it is connected to and meets those that are named', async () => {
    const { discovery, asked, connected } = story(['a'], { known: { a: ['b', 'dead', 'c'] } });
    await discovery.sweep(0);
    assert.deepEqual(asked, ['a()']);
    assert.deepEqual(connected, ['a', 'b', 'c']);
  });

  it('asks one at a time, each again only after a while', async () => {
    const { discovery, asked } = story(['a', 'b'], { known: { a: [], b: [] } });
    const pause = FIRST_ASK_PAUSE_MS;
    for (const ms of [0, 1, 2, pause - 1, pause, pause + 1, pause + 2]) await discovery.sweep(ms);
    assert.deepEqual(asked, ['a()', 'b()', 'a()', 'b()']);
  });

  it('asks the same peer less and less often, and a peer that came back as a new one', async () => {
    const { discovery, asked, connected } = story(['a'], { known: { a: [] } });
    const times: number[] = [];
    for (let ms = 0; ms < 3 * ASK_PAUSE_MS; ms += FIRST_ASK_PAUSE_MS) {
      const before = asked.length;
      await discovery.sweep(ms);
      if (asked.length > before) times.push(ms / FIRST_ASK_PAUSE_MS);
    }
    assert.deepEqual(times, [0, 1, 3, 7, 15, 31, 47]);
    connected.pop();
    await discovery.sweep(3 * ASK_PAUSE_MS);
    connected.push('a');
    await discovery.sweep(3 * ASK_PAUSE_MS);
    assert.equal(asked.length, times.length + 1);
  });

  it('rests when it has enough peers, and asks for those that are missing', async () => {
    const many = Array.from({ length: ENOUGH_PEERS }, (_, i) => `peer ${i}`);
    const content = story(many, { known: {} });
    await content.discovery.sweep(0);
    assert.deepEqual(content.asked, []);
    const missing = story(many, { missing: ['m'], known: { 'peer 0': ['x'] } });
    await missing.discovery.sweep(0);
    assert.deepEqual([missing.asked, missing.dialled], [['peer 0(m)'], []]);
  });

  it('dials nobody twice for one naming, and few at a time', async () => {
    const { discovery, dialled } = story([]);
    for (let i = 0; i < 200; i += 1) discovery.add('dead' as PeerId);
    for (let i = 0; i < 20; i += 1) discovery.add(`peer ${i}` as PeerId);
    await discovery.sweep(0);
    assert.equal(dialled.length, 4);
    for (let ms = 1; ms < 10; ms += 1) await discovery.sweep(ms);
    assert.equal(new Set(dialled).size, dialled.length);
    assert.equal(dialled.length, ENOUGH_PEERS + 1);
  });

  it('lives with a peer that does not answer', async () => {
    const { discovery, asked } = story(['mute', 'a'], { known: { a: [] } });
    await discovery.sweep(0);
    await discovery.sweep(1);
    assert.deepEqual(asked, ['mute()', 'a()']);
  });
});
