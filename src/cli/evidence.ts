// Commands that look behind the scores on chain: they ask the subnet's nodes for the evidence and recompute it.

import type { Chain, Subnet } from '../chain/types.ts';
import type { Values } from '../node/options.ts';
import { createVisitor } from '../node/visitor.ts';
import type { Log } from '../util/log.ts';
import type { Verifier } from '../validator/verify.ts';
import { openModelOption } from './session.ts';

export const EVIDENCE_OPTIONS = ['model', 'initial-peers', 'network-key'] as const;

interface Context {
  readonly options: Values<(typeof EVIDENCE_OPTIONS)[number]>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Joins the subnet's overlay as a stranger, hands a verifier to `use`, and leaves. `peers`: nodes that could be reached. */
export async function withVerifier<T>(
  { options, log, signal }: Context,
  { chain, subnet }: { readonly chain: Chain; readonly subnet: Subnet },
  use: (verifier: Verifier, peers: number) => Promise<T>,
): Promise<T> {
  const model = await openModelOption(options.model);
  const visitor = await createVisitor(
    { initialPeers: options['initial-peers'], networkKey: options['network-key'] },
    { chain, subnet, log, manifestOf: (hash) => (hash === model.hash ? model.manifest : undefined) },
    signal,
  );
  try {
    return await use(visitor.verifier, visitor.peers);
  } finally {
    await visitor.close();
  }
}
