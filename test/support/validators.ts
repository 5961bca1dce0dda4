// Four validators of chain/node in a folder of their own, and a client of them. TESSERA_CHAIN_NODE names the program (npm run chain:node builds
// it and says where it is); suites are skipped where it is not set.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalValidator, startLocalNetwork } from '../../scripts/chain/local-network.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain } from '../../src/chain/types.ts';
import { silentLog } from '../../src/util/log.ts';

export interface Validators {
  readonly validators: readonly LocalValidator[];
  /** Databases and logs are there until the end. */
  readonly folder: string;
  /** Connected to all of them. */
  readonly chain: Chain;
  close(): Promise<void>;
}

/** Resolves when there is a block. `network` is laid over the preset `devnet`. */
export async function startValidators(
  program: string,
  slotMs: number,
  network: Readonly<Record<string, number>> = {},
): Promise<Validators> {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-validators-'));
  const validators = await startLocalNetwork({ binary: program, folder, slotMs, network });
  const chain = await connectChain({ endpoints: validators.map(({ endpoint }) => endpoint) }, { log: silentLog });
  await until(chain, 'best', 1, 100 * slotMs);
  return {
    validators,
    folder,
    chain,
    async close() {
      await chain.close();
      await Promise.all(validators.map((validator) => validator.stop()));
      rmSync(folder, { recursive: true });
    },
  };
}

/** Resolves when the head is at least this block; rejects when that takes longer. */
export async function until(chain: Chain, kind: 'best' | 'finalized', block: number, timeoutMs: number): Promise<void> {
  for await (const { number } of chain.heads(kind, AbortSignal.timeout(timeoutMs))) if (number >= block) return;
  throw new Error(`no ${kind} block ${block} within ${timeoutMs} ms`);
}
