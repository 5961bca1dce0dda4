// What the gateway tells Prometheus at /metrics: counts and times, nothing of what was asked. Where vLLM has a metric of the same meaning, the
// name after the prefix is vLLM's. docs/clients.md lists them.

import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Slots } from './slots.ts';

/** Seconds: from a network on one machine to one across the world under load. */
const FIRST_TOKEN_BUCKETS = [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60];

export interface Meters {
  /** A request has been answered, whatever came of it. */
  request(route: string, status: number): void;
  /** Seconds from a request to the first text of its answer. */
  firstToken(seconds: number): void;
  tokens(prompt: number, drawn: number): void;
}

/** Serves /metrics and answers what feeds it. */
export function registerMetrics(app: FastifyInstance, slots: Pick<Slots, 'running' | 'waiting'>): Meters {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'tessera_http_requests_total',
    help: 'Requests answered, by route and status',
    labelNames: ['route', 'status'],
    registers,
  });
  const prompts = new Counter({ name: 'tessera_prompt_tokens_total', help: 'Tokens of prompts', registers });
  const drawn = new Counter({ name: 'tessera_generation_tokens_total', help: 'Tokens drawn', registers });
  const first = new Histogram({
    name: 'tessera_time_to_first_token_seconds',
    help: 'From a request to the first text of its answer',
    buckets: FIRST_TOKEN_BUCKETS,
    registers,
  });
  const running = new Gauge({ name: 'tessera_num_requests_running', help: 'Generations under way', registers });
  const waiting = new Gauge({ name: 'tessera_num_requests_waiting', help: 'Generations that wait', registers });

  app.get('/metrics', async (_, reply) => {
    running.set(slots.running);
    waiting.set(slots.waiting);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  return {
    request: (route, status) => requests.inc({ route, status }),
    firstToken: (seconds) => first.observe(seconds),
    tokens(prompt, count) {
      prompts.inc(prompt);
      drawn.inc(count);
    },
  };
}
