// /livez: the process answers. /readyz: a prompt sent now would be answered: the chain moves, every shard is served, peers are
// there, and the gateway does not leave.

import type { FastifyInstance } from 'fastify';

export interface Vitals {
  /** Best head seen, if any. */
  readonly block: number | undefined;
  /** Since the last new head. */
  readonly headAgeMs: number;
  /** Shards that nobody serves. */
  readonly missing: readonly number[];
  /** Connected. */
  readonly peers: number;
}

/** Ten blocks of 6 s: a chain that stands still for so long is not in sync. */
const MAX_HEAD_AGE_MS = 60_000;

export function registerHealth(
  app: FastifyInstance,
  vitals: () => Vitals & { /** No new requests are taken. */ readonly leaving: boolean },
): void {
  app.get('/livez', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_, reply) => {
    const { leaving, ...now } = vitals();
    const checks = checksOf(now);
    const ready = !leaving && Object.values(checks).every(({ ok }) => ok);
    const status = leaving ? 'leaving' : ready ? 'ok' : 'not ready';
    return reply.code(ready ? 200 : 503).send({ status, checks });
  });
}

/** Pure: what each check says of these vitals. */
function checksOf({ block, headAgeMs, missing, peers }: Vitals) {
  return {
    chain: { ok: block !== undefined && headAgeMs <= MAX_HEAD_AGE_MS, block: block ?? null, headAgeMs },
    coverage: { ok: missing.length === 0, missing },
    peers: { ok: peers > 0, connected: peers },
  };
}
