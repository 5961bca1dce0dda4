// What a node tells Prometheus: chain, overlay, engine, sessions, duties. Everything is read when it is asked for; only outcomes are counted as
// they come. Where vLLM has a metric of the same meaning, the name after the prefix is vLLM's. docs/operators.md lists them; a test compares.

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Chain } from '../chain/types.ts';
import type { Engine } from '../engine/types.ts';
import type { Hoster } from '../hoster/hoster.ts';
import type { Overlay } from '../p2p/types.ts';
import { type Address, type NodeId, ONE, type SubnetId } from '../types/ids.ts';
import { classRank } from '../types/subnet.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { CHANNELS } from '../validator/records.ts';
import type { Validator, ValidatorEvent } from '../validator/validator.ts';
import type { MoveEvent } from './mover.ts';

export interface MetricsOptions {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly hotkey: Address;
  readonly role: string;
  readonly version: string;
}

export interface MetricsDeps {
  readonly chain: Pick<Chain, 'head' | 'node' | 'account'>;
  readonly overlay: Pick<Overlay, 'peers' | 'refusals'>;
  readonly engine: Pick<Engine, 'info' | 'stats'> | undefined;
  readonly hoster: Pick<Hoster, 'stats'> | undefined;
  readonly validator: Pick<Validator, 'status' | 'on'>;
  /** Of a node that may move to other shards. */
  readonly onMove?: (listener: (event: MoveEvent) => void) => () => void;
  readonly log: Log;
}

export interface Metrics {
  readonly contentType: string;
  /** The exposition text, in Prometheus' format; what cannot be read now is left as it was. */
  text(): Promise<string>;
  /** Stops counting. */
  close(): void;
}

/** A chain that does not answer must not hold up a scrape. */
const READ_MS = 2_000;

const GAUGES = {
  tessera_build_info: ['Always 1; what runs is in the labels', ['version', 'role', 'node', 'subnet', 'provider']],
  tessera_chain_up: ['1 while the chain answers'],
  tessera_chain_best_block: ['Number of the best head'],
  tessera_chain_finalized_block: ['Number of the finalized head'],
  tessera_node_class: ['0 Registered, 1 Idle, 2 Included, 3 Validator; -1 when the chain knows no such node'],
  tessera_node_stake_tensor: ['Stake of the node, TENSOR'],
  tessera_node_reputation_ratio: ['Reputation of the node, 0 to 1; below 0.1 it is removed'],
  tessera_hotkey_balance_tensor: ['Free balance of the hotkey, TENSOR'],
  tessera_p2p_peers: ['Peers with an open connection'],
  tessera_num_requests_running: ['Open sessions of clients (vLLM: num_requests_running)'],
  tessera_num_requests_waiting: ['Native runs that wait for the engine (vLLM: num_requests_waiting)'],
  tessera_kv_cache_usage_perc: ['Part of the KV memory that is reserved, 0 to 1 (vLLM: kv_cache_usage_perc)'],
  tessera_engine_shards: ['Shards that are loaded'],
  tessera_duty_block: ['The last block that this node acted on'],
  tessera_duty_epoch: ['The subnet epoch that this node is in'],
  tessera_records_held: ['Records of others that are held of the last epoch that is over'],
  tessera_records_reached_ratio: ['Part of those records that each way brought, first or again, 0 to 1', ['via']],
  tessera_duty_jobs: ['Jobs of the validator under way'],
} as const satisfies Readonly<Record<string, readonly [help: string, labels?: readonly string[]]>>;

const COUNTERS = {
  tessera_p2p_refusals_total: ['Peers turned away or cut off, by reason', ['code']],
  tessera_sessions_opened_total: ['Sessions that were opened for clients'],
  tessera_session_refusals_total: ['Sessions refused or failed, by code', ['code']],
  tessera_engine_steps_total: ['Steps of sessions that the engine ran'],
  tessera_engine_rows_total: ['Positions that the engine computed, prompts and answers'],
  tessera_records_total: ['Records of others, by the way that brought them first', ['via']],
  tessera_record_refusals_total: ['Records of others that were refused, by code', ['code']],
  tessera_moves_total: ['Moves to other shards, by what happened: moving, moved or stayed', ['type']],
  tessera_duty_outcomes_total: ['Outcomes of duties, by type', ['type']],
  tessera_duty_missed_total: ['Missed duties, by duty and reason', ['duty', 'why']],
  tessera_duty_abstained_total: ['Votes not given, by code', ['code']],
  tessera_duty_failures_total: ['Operating failures on the way to a duty, by code', ['what', 'code']],
} as const satisfies Readonly<Record<string, readonly [help: string, labels?: readonly string[]]>>;

type GaugeName = keyof typeof GAUGES;
type CounterName = keyof typeof COUNTERS;

/** Of this program; Node's own (`process_*`, `nodejs_*`) come beside them. */
export const METRIC_NAMES: readonly string[] = [...Object.keys(GAUGES), ...Object.keys(COUNTERS)];

export function createMetrics(options: MetricsOptions, deps: MetricsDeps): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauges = make(GAUGES, (name, help, labelNames) => new Gauge({ name, help, labelNames, registers: [registry] }));
  const counters = make(
    COUNTERS,
    (name, help, labelNames) => new Counter({ name, help, labelNames, registers: [registry] }),
  );
  const { role, version, node, subnet } = options;
  const provider = deps.engine?.info.provider ?? 'none';
  gauges.tessera_build_info.set({ version, role, node, subnet, provider }, 1);
  const unsubscribe = deps.validator.on((event) => countEvent(event, counters));
  const forget = deps.onMove?.(({ type }) => counters.tessera_moves_total.inc({ type }));

  async function read(): Promise<void> {
    readLocal(deps, gauges, counters);
    try {
      await readChain(options, deps.chain, gauges);
      gauges.tessera_chain_up.set(1);
    } catch (error) {
      gauges.tessera_chain_up.set(0);
      deps.log.debug('no chain for metrics', { code: errorCode(error) });
    }
  }

  return {
    contentType: registry.contentType,
    async text() {
      await read();
      return registry.metrics();
    },
    close() {
      unsubscribe();
      forget?.();
    },
  };
}

type Gauges = Readonly<Record<GaugeName, Gauge>>;
type Counters = Readonly<Record<CounterName, Counter>>;

function make<Name extends string, Made>(
  table: Readonly<Record<Name, readonly [help: string, labels?: readonly string[]]>>,
  create: (name: string, help: string, labels: string[]) => Made,
): Readonly<Record<Name, Made>> {
  const entries = Object.entries<readonly [help: string, labels?: readonly string[]]>(table);
  const made = entries.map(([name, [help, labels = []]]) => [name, create(name, help, [...labels])] as const);
  return Object.fromEntries(made) as Record<Name, Made>;
}

function readLocal({ overlay, engine, hoster, validator }: MetricsDeps, gauges: Gauges, counters: Counters): void {
  gauges.tessera_p2p_peers.set(overlay.peers().length);
  setTotals(counters.tessera_p2p_refusals_total, sumByCode([...overlay.refusals().values()]));
  if (engine !== undefined) {
    const { shards, kvBytes, kvBudgetBytes, steps, rows, queued } = engine.stats();
    gauges.tessera_engine_shards.set(shards.length);
    gauges.tessera_kv_cache_usage_perc.set(kvBudgetBytes === 0 ? 0 : kvBytes / kvBudgetBytes);
    gauges.tessera_num_requests_waiting.set(queued);
    setTotal(counters.tessera_engine_steps_total, steps);
    setTotal(counters.tessera_engine_rows_total, rows);
  }
  if (hoster !== undefined) {
    const { sessions, opened, refused } = hoster.stats();
    gauges.tessera_num_requests_running.set(sessions);
    setTotal(counters.tessera_sessions_opened_total, opened);
    setTotals(counters.tessera_session_refusals_total, refused);
  }
  const { block, duty, busy, refusals, firstBy, completeness } = validator.status();
  if (block !== undefined) gauges.tessera_duty_block.set(block);
  if (duty.at === 'epoch') gauges.tessera_duty_epoch.set(duty.epoch);
  gauges.tessera_duty_jobs.set(busy);
  setTotals(counters.tessera_record_refusals_total, refusals);
  counters.tessera_records_total.reset();
  for (const via of CHANNELS) {
    counters.tessera_records_total.inc({ via }, firstBy[via]);
    gauges.tessera_records_reached_ratio.set({ via }, completeness[via] / Math.max(1, completeness.held));
  }
  gauges.tessera_records_held.set(completeness.held);
}

async function readChain(
  { subnet, node: id, hotkey }: MetricsOptions,
  chain: MetricsDeps['chain'],
  gauges: Gauges,
): Promise<void> {
  const stop = AbortSignal.timeout(READ_MS);
  const [best, finalized, node, account] = await Promise.all([
    chain.head('best', stop),
    chain.head('finalized', stop),
    chain.node(subnet, id, undefined, stop),
    chain.account(hotkey, stop),
  ]);
  gauges.tessera_chain_best_block.set(best.number);
  gauges.tessera_chain_finalized_block.set(finalized.number);
  gauges.tessera_node_class.set(node === undefined ? -1 : classRank(node.nodeClass));
  gauges.tessera_node_stake_tensor.set(toTensor(node?.stake ?? 0n));
  gauges.tessera_node_reputation_ratio.set(toTensor(node?.reputation ?? 0n));
  gauges.tessera_hotkey_balance_tensor.set(toTensor(account.free));
}

function countEvent(event: ValidatorEvent, counters: Counters): void {
  if (event.type === 'head' || event.type === 'judged') return;
  if (event.type === 'failed') {
    counters.tessera_duty_failures_total.inc({ what: event.what, code: event.code });
    return;
  }
  counters.tessera_duty_outcomes_total.inc({ type: event.type });
  if (event.type === 'missed') counters.tessera_duty_missed_total.inc({ duty: event.duty, why: event.why });
  if (event.type === 'abstained') counters.tessera_duty_abstained_total.inc({ code: event.code });
}

/** The total is kept elsewhere; a counter knows only how to grow. */
function setTotal(counter: Counter, total: number): void {
  counter.reset();
  counter.inc(total);
}

function setTotals(counter: Counter, totals: Readonly<Record<string, number | undefined>>): void {
  counter.reset();
  for (const [code, total = 0] of Object.entries(totals)) counter.inc({ code }, total);
}

function sumByCode(all: readonly Readonly<Record<string, number | undefined>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const own of all) for (const [code, count = 0] of Object.entries(own)) sums[code] = (sums[code] ?? 0) + count;
  return sums;
}

/** For graphs only: six decimals of a number of 18. */
function toTensor(planck: bigint): number {
  return Number(planck / (ONE / 1_000_000n)) / 1_000_000;
}
