// chain_*: blocks, headers, heads.

import type { Block } from '../block.ts';
import type { Chain, ChainEvent } from '../chain.ts';
import { headerJson } from '../header.ts';
import type { Hex } from '../hex.ts';
import { HistoryError } from '../history.ts';
import { asInteger, asText, isAbsent } from './params.ts';
import type { Methods, Subscription, Subscriptions } from './types.ts';

const MAX_NUMBER = 2 ** 32 - 1;

/** The block with this hash, the head when none is given; throws HistoryError `BLOCK_UNKNOWN`. */
export function blockAt(chain: Chain, hash: unknown): Block {
  if (isAbsent(hash)) return chain.head();
  const text = asText(hash, 'block hash');
  const block = chain.byHash(text);
  if (block === undefined)
    throw new HistoryError({ code: 'BLOCK_UNKNOWN', block: text }, `block ${text.slice(0, 66)} not found`);
  return block;
}

export function blockMethods(chain: Chain): Methods {
  const find = (hash: unknown) => (isAbsent(hash) ? chain.head() : chain.byHash(asText(hash, 'block hash')));

  function blockHash([number]: readonly unknown[]): Hex | null | readonly (Hex | null)[] {
    const one = (value: unknown) => chain.byNumber(asInteger(value, MAX_NUMBER, 'block number'))?.hash ?? null;
    if (isAbsent(number)) return chain.head().hash;
    return Array.isArray(number) ? number.map(one) : one(number);
  }

  function header([hash]: readonly unknown[]): object | null {
    const block = find(hash);
    return block === undefined ? null : headerJson(block.header);
  }

  function block([hash]: readonly unknown[]): object | null {
    const found = find(hash);
    if (found === undefined) return null;
    return { block: { header: headerJson(found.header), extrinsics: found.extrinsics }, justifications: null };
  }

  const finalizedHead = () => chain.finalized().hash;
  return {
    chain_getBlockHash: blockHash,
    chain_getHead: blockHash,
    chain_getHeader: header,
    chain_getBlock: block,
    chain_getFinalizedHead: finalizedHead,
    chain_getFinalisedHead: finalizedHead,
  };
}

export function blockSubscriptions(chain: Chain): Subscriptions {
  const best = (name: string, notice: string): Subscription => heads(chain, 'best', notice, `chain_unsubscribe${name}`);
  const finalized = heads(chain, 'finalized', 'chain_finalizedHead', 'chain_unsubscribeFinalizedHeads');
  return {
    chain_subscribeNewHeads: best('NewHeads', 'chain_newHead'),
    chain_subscribeNewHead: best('NewHead', 'chain_newHead'),
    chain_subscribeAllHeads: best('AllHeads', 'chain_allHead'),
    chain_subscribeFinalizedHeads: finalized,
    chain_subscribeFinalisedHeads: { ...finalized, unsubscribe: 'chain_unsubscribeFinalisedHeads' },
  };
}

function heads(chain: Chain, type: 'best' | 'finalized', notice: string, unsubscribe: string): Subscription {
  const current = () => (type === 'best' ? chain.head() : chain.finalized());
  return {
    notice,
    unsubscribe,
    open: (_params, notify) => {
      notify(headerJson(current().header));
      return chain.onEvent((event: ChainEvent) => {
        if (event.type === type) notify(headerJson(event.block.header));
      });
    },
  };
}
