import assert from 'node:assert/strict';
import { createMetrics, METRIC_NAMES, type MetricsDeps } from '../../../src/node/metrics.ts';
import { serveMetrics } from '../../../src/node/metrics-server.ts';
import { type Address, type NodeId, ONE, type SubnetId } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';
import { silentLog } from '../../../src/util/log.ts';
import type { ValidatorEvent } from '../../../src/validator/validator.ts';

const OPTIONS = {
  subnet: 128_001 as SubnetId,
  node: 3 as NodeId,
  hotkey: '0x01' as Address,
  role: 'hoster',
  version: '1.2.3',
};

function world() {
  const listeners = new Set<(event: ValidatorEvent) => void>();
  let isUp = true;
  const up = <T>(value: T) => (isUp ? Promise.resolve(value) : Promise.reject(new Error('away')));
  const deps = {
    chain: {
      head: (kind: string) => up({ number: kind === 'best' ? 120 : 118, hash: '0x' }),
      node: () => up({ nodeClass: 'Included', stake: (ONE * 201n) / 2n, reputation: ONE / 2n }),
      account: () => up({ free: ONE / 100n, nonce: 1 }),
    },
    overlay: {
      peers: () => ['a', 'b'],
      refusals: () =>
        new Map([
          ['x', { FRAME_TOO_LARGE: 2 }],
          ['y', { FRAME_TOO_LARGE: 1, PEER_REFUSED: 1 }],
        ]),
    },
    engine: {
      info: { provider: 'cpu' },
      stats: () => ({ shards: [0, 1], sessions: 1, kvBytes: 25, kvBudgetBytes: 100, steps: 7, rows: 90, queued: 4 }),
    },
    hoster: { stats: () => ({ sessions: 2, opened: 9, refused: { BUSY: 3 } }) },
    validator: {
      status: () => ({
        block: 119,
        duty: { at: 'epoch', epoch: 12 },
        epochs: [],
        refusals: { RECORD_MALFORMED: 5 },
        firstBy: { gossip: 30, dht: 2, pull: 4 },
        completeness: { held: 36, gossip: 27, dht: 9, pull: 0 },
        busy: 1,
      }),
      on: (listener: (event: ValidatorEvent) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    onMove: (listener: (event: unknown) => void) => {
      listener({ type: 'moved', shards: [1] });
      return () => undefined;
    },
    log: silentLog,
  } as unknown as MetricsDeps;
  return {
    deps,
    emit: (event: unknown) => {
      for (const listener of listeners) listener(event as ValidatorEvent);
    },
    cut: () => {
      isUp = false;
    },
  };
}

describe('metrics', () => {
  it('tells chain, overlay, engine, sessions and duties', async () => {
    const { deps, emit } = world();
    const metrics = createMetrics(OPTIONS, deps);
    emit({ type: 'head', block: 1, epoch: 1 });
    emit({ type: 'committed', epoch: 12 });
    emit({ type: 'missed', epoch: 12, duty: 'work', why: 'no-answer' });
    emit({ type: 'abstained', epoch: 12, code: 'PROPOSAL_OMITS' });
    emit({ type: 'failed', what: 'read', code: 'CHAIN_TIMEOUT', message: 'secret words' });
    await metrics.text();
    const text = await metrics.text();
    const lines = [
      'tessera_build_info{version="1.2.3",role="hoster",node="3",subnet="128001",provider="cpu"} 1',
      'tessera_chain_up 1',
      'tessera_chain_best_block 120',
      'tessera_chain_finalized_block 118',
      'tessera_node_class 2',
      'tessera_node_stake_tensor 100.5',
      'tessera_node_reputation_ratio 0.5',
      'tessera_hotkey_balance_tensor 0.01',
      'tessera_p2p_peers 2',
      'tessera_p2p_refusals_total{code="FRAME_TOO_LARGE"} 3',
      'tessera_num_requests_running 2',
      'tessera_num_requests_waiting 4',
      'tessera_kv_cache_usage_perc 0.25',
      'tessera_engine_shards 2',
      'tessera_engine_steps_total 7',
      'tessera_engine_rows_total 90',
      'tessera_sessions_opened_total 9',
      'tessera_session_refusals_total{code="BUSY"} 3',
      'tessera_record_refusals_total{code="RECORD_MALFORMED"} 5',
      'tessera_records_total{via="gossip"} 30',
      'tessera_records_held 36',
      'tessera_records_reached_ratio{via="dht"} 0.25',
      'tessera_moves_total{type="moved"} 1',
      'tessera_duty_block 119',
      'tessera_duty_epoch 12',
      'tessera_duty_jobs 1',
      'tessera_duty_outcomes_total{type="committed"} 1',
      'tessera_duty_missed_total{duty="work",why="no-answer"} 1',
      'tessera_duty_abstained_total{code="PROPOSAL_OMITS"} 1',
      'tessera_duty_failures_total{what="read",code="CHAIN_TIMEOUT"} 1',
    ];
    for (const line of lines) assert.ok(text.split('\n').includes(line), line);
    const shown = new Set(lines.map((line) => line.split(/[ {]/)[0]));
    assert.deepEqual([...METRIC_NAMES].sort(), [...shown].sort(), 'each metric is looked at here');
    assert.ok(!text.includes('secret words'));
    metrics.close();
  });

  it('goes on without the chain, and says so', async () => {
    const { deps, cut } = world();
    const metrics = createMetrics(OPTIONS, deps);
    await metrics.text();
    cut();
    const text = await metrics.text();
    assert.match(text, /^tessera_chain_up 0$/m);
    assert.match(text, /^tessera_chain_best_block 120$/m);
  });

  it('is served on loopback, to who asks for it', async () => {
    const metrics = createMetrics(OPTIONS, world().deps);
    const server = await serveMetrics(0, { metrics, log: silentLog });
    try {
      const found = await fetch(server.url);
      assert.match(found.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
      assert.match(await found.text(), /tessera_chain_up 1/);
      assert.equal((await fetch(new URL('/', server.url))).status, 404);
      assert.equal((await fetch(new URL('/livez', server.url))).status, 200);
      assert.equal((await fetch(server.url, { method: 'POST' })).status, 405);
      await assert.rejects(serveMetrics(Number(new URL(server.url).port), { metrics, log: silentLog }), (error) => {
        return errorCode(error) === 'METRICS_PORT_BUSY';
      });
    } finally {
      await server.close();
    }
  });
});
