// author_*: transactions come in, and their fate goes out.

import type { Chain, ChainEvent, TransactionStatus } from '../chain.ts';
import { type Hex, hex } from '../hex.ts';
import { submitError } from './errors.ts';
import { asBytes } from './params.ts';
import type { Methods, Subscriptions } from './types.ts';

export function authorMethods(chain: Chain): Methods {
  return {
    author_submitExtrinsic: ([extrinsic]) => submit(chain, extrinsic),
    author_pendingExtrinsics: () => chain.pending().map(({ bytes }) => hex(bytes)),
  };
}

export function authorSubscriptions(chain: Chain): Subscriptions {
  return {
    author_submitAndWatchExtrinsic: {
      notice: 'author_extrinsicUpdate',
      unsubscribe: 'author_unwatchExtrinsic',
      open: ([extrinsic], notify) => watch(chain, submit(chain, extrinsic), notify),
    },
  };
}

function submit(chain: Chain, extrinsic: unknown): Hex {
  const result = chain.submit(asBytes(extrinsic, 'extrinsic'));
  if (!result.ok) throw submitError(result.refusal);
  return result.hash;
}

/** Sends each status until a final one: finalized, usurped, dropped or invalid. */
function watch(chain: Chain, hash: Hex, notify: (status: unknown) => void): () => void {
  let inBlock: Hex | undefined;
  const stop = chain.onEvent((event: ChainEvent) => {
    if (event.type === 'finalized' && event.block.hash === inBlock) end({ finalized: inBlock });
    if (event.type !== 'transaction' || event.hash !== hash) return;
    if (isFinal(event.status)) end(event.status);
    else tell(event.status);
  });

  function tell(status: TransactionStatus): void {
    if (typeof status === 'object') inBlock = 'inBlock' in status ? status.inBlock : undefined;
    notify(status);
  }

  function end(status: unknown): void {
    stop();
    notify(status);
  }

  tell(chain.isReady(hash) ? 'ready' : 'future');
  return stop;
}

function isFinal(status: TransactionStatus): boolean {
  return status === 'dropped' || status === 'invalid' || (typeof status === 'object' && 'usurped' in status);
}
