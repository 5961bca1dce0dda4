// dev_*: what only a development chain offers: blocks on demand, changed state, reorganisations, outages. Served on loopback only.

import { setImmediate } from 'node:timers/promises';
import type { Block } from '../block.ts';
import type { Chain } from '../chain.ts';
import type { Hex } from '../hex.ts';
import { asHex, asInteger, asList, asMembers, asText, isAbsent, type Params } from './params.ts';
import type { Stall } from './stall.ts';
import type { Methods } from './types.ts';

/** Per request; at 5 ms each a client waits a minute. */
const MAX_NEW_BLOCKS = 10_000;
const MAX_REORG = 4096;
const MAX_LAG = 1_000_000;
/** An outage longer than ten minutes is a stopped chain. */
const MAX_STALL_MS = 600_000;
/** Blocks between two turns of the event loop, so that notices leave while many blocks are built. */
const BLOCKS_PER_TURN = 8;

export function devMethods(chain: Chain, stall: Stall): Methods {
  return {
    dev_newBlock: async ([plan]) => (await newBlocks(chain, blockCount(chain, plan))).hash,
    dev_setStorage: ([pairs]) => chain.setStorage(asList(pairs, 'pairs').map(asPair)).hash,
    dev_reorg: ([plan]) => reorg(chain, plan),
    dev_setFinalityLag: ([lag]) => {
      chain.setFinalityLag(asInteger(lag, MAX_LAG, 'lag'));
      return chain.finalized().hash;
    },
    dev_stall: ([plan]) => startStall(stall, plan),
    dev_stats: () => ({
      ...chain.stats(),
      head: chain.head().number,
      finalized: chain.finalized().number,
      rss: process.memoryUsage().rss,
    }),
  };
}

/** Builds blocks one after the other, letting the event loop turn in between; answers the last one. */
export async function newBlocks(chain: Chain, count: number): Promise<Block> {
  for (let built = 1; built <= count; built++) {
    chain.newBlock();
    if (built % BLOCKS_PER_TURN === 0) await setImmediate();
  }
  return chain.head();
}

/** A number, { count }, or { to: block number }; one block when nothing is said. */
function blockCount(chain: Chain, plan: unknown): number {
  if (typeof plan === 'number') return asInteger(plan, MAX_NEW_BLOCKS, 'count');
  const { count, to } = asMembers(plan, 'plan');
  if (isAbsent(to)) return isAbsent(count) ? 1 : asInteger(count, MAX_NEW_BLOCKS, 'count');
  const head = chain.head().number;
  return Math.max(0, asInteger(to, head + MAX_NEW_BLOCKS, 'to') - head);
}

function asPair(pair: unknown): readonly [Hex, Hex | null] {
  const [key, value] = asList(pair, 'pair');
  return [asHex(key, 'key'), isAbsent(value) ? null : asHex(value, 'value')];
}

function reorg(chain: Chain, plan: unknown): Hex {
  const { depth, blocks, drop, force } = asMembers(plan, 'plan');
  const hashes: Params = isAbsent(drop) ? [] : asList(drop, 'drop');
  return chain.reorg({
    depth: asInteger(depth, MAX_REORG, 'depth'),
    blocks: isAbsent(blocks) ? asInteger(depth, MAX_REORG, 'depth') + 1 : asInteger(blocks, MAX_REORG, 'blocks'),
    drop: hashes.map((hash) => asText(hash, 'drop')),
    force: force === true,
  }).hash;
}

/** { ms } stops answers and blocks, { rpc: ms } only answers, { blocks: ms } only blocks made by themselves. */
function startStall(stall: Stall, plan: unknown): true {
  const { ms, rpc, blocks } = asMembers(plan, 'plan');
  const duration = (value: unknown) => (isAbsent(value) ? 0 : asInteger(value, MAX_STALL_MS, 'milliseconds'));
  stall.answers(Math.max(duration(ms), duration(rpc)));
  stall.blocks(Math.max(duration(ms), duration(blocks)));
  return true;
}
