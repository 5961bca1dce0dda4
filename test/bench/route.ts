// `npm run bench -- route`: how long the cheapest route takes to find through a large network, half of whose peers were measured.

import type { Offer } from '../../src/routing/coverage.ts';
import { cheapestRoute, type Pace } from '../../src/routing/route.ts';
import type { NodeId, PeerId, ShardIndex } from '../../src/types/ids.ts';
import { createReport, median } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const NODES = 1_000;
const SHARDS = 80;
/** A route is looked for once per session: beside a first token of some tenths of a second this is nothing. */
const BAR_MS = 20;
const ROUNDS = 30;
const WARM_UP = 10;
const PATIENCE_MS = 3_000;

export async function benchRoute({ json }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const quiet = await waitForQuiet(PATIENCE_MS);
  for (const longest of [8, SHARDS]) {
    const request = makeRequest(longest);
    const samples: number[] = [];
    let hops = 0;
    for (let round = 0; round < WARM_UP + ROUNDS; round += 1) {
      const start = performance.now();
      const route = cheapestRoute(request);
      if (round >= WARM_UP) samples.push(performance.now() - start);
      hops = route.ok ? route.hops.length : 0;
    }
    const facts = { nodes: NODES, shards: SHARDS, longestRun: longest, hops };
    const name = `route.runs${longest}`;
    report.add({ name, value: median(samples), unit: 'ms', bar: BAR_MS, better: 'lower', quiet, samples, facts });
  }
  return report.exitCode();
}

/** Runs of 1 to `longest` shards anywhere in the model, from a fixed seed. */
function makeRequest(longest: number) {
  const random = createRandom(7);
  const offers: Offer[] = [];
  const paces = new Map<PeerId, Pace>();
  for (let node = 1; node <= NODES; node += 1) {
    const length = 1 + random(longest);
    const from = random(SHARDS - length + 1);
    const peer = `peer-${node}` as PeerId;
    offers.push({
      node: node as NodeId,
      peer,
      shards: Array.from({ length }, (_, i) => (from + i) as ShardIndex),
      load: random(1_000),
      rowsPerSecond: 100 + random(2_000),
      freePositions: random(200_000),
    });
    if (node % 2 === 0) paces.set(peer, { hopUs: 1_000 + random(80_000), rowUs: 500 + random(5_000) });
  }
  return { offers, shardCount: SHARDS, positions: 1_000, excluded: new Set<PeerId>(), penalties: new Map(), paces };
}

/** Integers below a limit (Lehmer generator): the same network in every run. */
function createRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state % limit;
  };
}
