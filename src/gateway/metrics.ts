// What the gateway tells Prometheus at /metrics: counts and times, nothing of what was asked. Where vLLM has a metric of the same meaning, the
// name after the prefix is vLLM's. docs/clients.md lists them; a test compares.

import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { FinishReason } from '../client/generation.ts';
import type { Slots } from './slots.ts';

/** Seconds: from a network on one machine to one across the world under load. */
const REQUEST_BUCKETS = [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120];
const TOKEN_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
/** Around the 5 ms that may not be passed. */
const OVERHEAD_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01, 0.02, 0.05, 0.1];

const HISTOGRAMS = {
  tessera_time_to_first_token_seconds: ['From a request to the first text of its answer', REQUEST_BUCKETS],
  tessera_inter_token_latency_seconds: ['Between two tokens of a generation, as they come', TOKEN_BUCKETS],
  tessera_e2e_request_latency_seconds: ['From a request to the end of its answer', REQUEST_BUCKETS],
  tessera_request_queue_time_seconds: ['How long a generation waited for its turn in the gateway', REQUEST_BUCKETS],
  tessera_token_overhead_seconds: [
    'What the gateway itself takes for a streamed token: from its coming to its being handed to the socket',
    OVERHEAD_BUCKETS,
  ],
} as const satisfies Readonly<Record<string, readonly [help: string, buckets: readonly number[]]>>;

const COUNTERS = {
  tessera_http_requests_total: ['Requests answered, by route and status', ['route', 'status']],
  tessera_prompt_tokens_total: ['Tokens of prompts'],
  tessera_generation_tokens_total: ['Tokens drawn'],
  tessera_request_success_total: ['Generations that came to their end, by reason', ['finished_reason']],
} as const satisfies Readonly<Record<string, readonly [help: string, labels?: readonly string[]]>>;

const GAUGES = {
  tessera_num_requests_running: 'Generations under way',
  tessera_num_requests_waiting: 'Generations that wait for their turn',
} as const;

/** Of this program. */
export const GATEWAY_METRIC_NAMES: readonly string[] = [HISTOGRAMS, COUNTERS, GAUGES].flatMap(Object.keys);

export interface Meters {
  /** A request has been answered, whatever came of it. */
  request(route: string, status: number): void;
  tokens(prompt: number, drawn: number): void;
  ended(reason: FinishReason): void;
  time(name: keyof typeof HISTOGRAMS, milliseconds: number): void;
}

/** Serves /metrics and answers what feeds it. */
export function registerMetrics(app: FastifyInstance, slots: Pick<Slots, 'running' | 'waiting'>): Meters {
  const registry = new Registry();
  const registers = [registry];
  const histograms = make(HISTOGRAMS, (name, [help, buckets]) => new Histogram({ name, help, buckets, registers }));
  const counters = make(
    COUNTERS,
    (name, [help, labels = []]: readonly [help: string, labels?: readonly string[]]) =>
      new Counter({ name, help, labelNames: [...labels], registers }),
  );
  const gauges = make(GAUGES, (name, help) => new Gauge({ name, help, registers }));

  app.get('/metrics', async (_, reply) => {
    gauges.tessera_num_requests_running.set(slots.running);
    gauges.tessera_num_requests_waiting.set(slots.waiting);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  return {
    request: (route, status) => counters.tessera_http_requests_total.inc({ route, status }),
    tokens(prompt, count) {
      counters.tessera_prompt_tokens_total.inc(prompt);
      counters.tessera_generation_tokens_total.inc(count);
    },
    ended: (finished_reason) => counters.tessera_request_success_total.inc({ finished_reason }),
    time: (name, milliseconds) => histograms[name].observe(milliseconds / 1000),
  };
}

function make<Facts, Name extends string, Made>(
  table: Readonly<Record<Name, Facts>>,
  create: (name: string, facts: Facts) => Made,
): Readonly<Record<Name, Made>> {
  const entries = Object.entries<Facts>(table).map(([name, facts]) => [name, create(name, facts)] as const);
  return Object.fromEntries(entries) as Record<Name, Made>;
}
