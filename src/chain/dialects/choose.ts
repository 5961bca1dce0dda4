// Which dialect a runtime speaks, told from its metadata, never from its name (chain.md 10.3).

import type { Runtime } from '../substrate/runtime.ts';
import { ChainError } from '../types.ts';
import type { Dialect } from './dialect.ts';
import { createHypertensorF26Dialect, missingForHypertensorF26 } from './hypertensor-f26.ts';
import { createTesseraDialect, missingForTessera } from './tessera.ts';

/** Errors: CHAIN_UNSUPPORTED with what the runtime lacks, or with the generation of its interface. */
export function createDialect(runtime: Runtime): Dialect {
  const missing = missingForTessera(runtime);
  if (missing.length === 0) return createTesseraDialect(runtime);
  const { specName, specVersion } = runtime;
  const has = (call: string) => runtime.missing({ calls: [call], storage: [], apis: [] }).length === 0;
  // Nodes belong to validators, who register first.
  if (has('registerValidator') || runtime.hasArgument('network', 'registerSubnetNode', 'validator_id')) {
    throw new ChainError(
      { code: 'CHAIN_UNSUPPORTED', missing: ['hypertensor-j26'] },
      `the chain ${specName} ${specVersion} has the validator ids of Hypertensor's newest interface (j26), which this program does not speak yet: use an endpoint of a network with an older runtime, or a newer version of this program`,
    );
  }
  // Nodes belong to hotkeys, and activate from a queue.
  if (runtime.hasArgument('network', 'registerSubnetNode', 'hotkey') && !has('activateSubnetNode')) {
    const lacking = missingForHypertensorF26(runtime);
    if (lacking.length === 0) return createHypertensorF26Dialect(runtime);
    throw unsupported(runtime, lacking);
  }
  throw unsupported(runtime, missing);
}

function unsupported({ specName, specVersion }: Runtime, missing: readonly string[]): ChainError {
  return new ChainError(
    { code: 'CHAIN_UNSUPPORTED', missing },
    `the chain ${specName} ${specVersion} is not one that this program speaks, it lacks: ${missing.join(', ')}; check --rpc`,
  );
}
