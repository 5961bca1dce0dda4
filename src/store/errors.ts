// The journal's refusals in words that tell a person what to do; both implementations throw the same ones.

import { errorMessage } from '../util/errors.ts';
import { type Slot, StoreError } from './types.ts';

export function signedAlready({ subnet, node, epoch, kind }: Slot): StoreError {
  return new StoreError(
    { code: 'SIGNED_ALREADY', subnet, node, epoch, kind },
    `node ${node} of subnet ${subnet} has signed another ${kind} for epoch ${epoch}: refusing to sign twice; ` +
      'wait for the next epoch, and make sure that no second process uses the keys of this node',
  );
}

export function slotPast({ subnet, node, epoch }: Slot, floor: number): StoreError {
  return new StoreError(
    { code: 'SLOT_PAST', subnet, node, epoch, floor },
    `epoch ${epoch} of subnet ${subnet} is older than what the journal remembers (from ${floor} on): refusing to sign, ` +
      'since it may be signed already; check that --rpc follows the chain',
  );
}

export function factDiffers(name: string): StoreError {
  return new StoreError(
    { code: 'FACT_DIFFERS', name },
    `the journal holds another value of ${name}: the chain endpoint shows other finalized state than before; check --rpc`,
  );
}

/** `pid` is 0 when the holder's is not known. */
export function journalLocked(file: string, pid: number): StoreError {
  const holder = pid === 0 ? 'another process' : `process ${pid}`;
  return new StoreError(
    { code: 'JOURNAL_LOCKED', file, pid },
    `${file} is in use by ${holder}: stop that node, or give this one its own --data-dir`,
  );
}

export function journalForeign(file: string, expected: string, found: string): StoreError {
  return new StoreError(
    { code: 'JOURNAL_FOREIGN', file, expected, found },
    `${file} was written on the chain with genesis ${found}, but the endpoint is on ${expected}: ` +
      'check --rpc, or give this chain its own --data-dir',
  );
}

export function journalUnusable(file: string, cause: unknown): StoreError {
  const why = errorMessage(cause);
  const todo = /disk is full/.test(why)
    ? 'make room and start again'
    : 'restore it from a copy; a node that starts without its journal may sign twice';
  return new StoreError({ code: 'JOURNAL_UNUSABLE', file }, `${file} cannot be used as a journal (${why}): ${todo}`, {
    cause,
  });
}
