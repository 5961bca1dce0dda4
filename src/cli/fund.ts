// Money for the fees of a hotkey, and what to say where it has none.

import type { Chain, Signer } from '../chain/types.ts';
import type { Address } from '../types/ids.ts';
import { MIN_HOTKEY_BALANCE } from './checks.ts';
import { formatTensor, type Io } from './io.ts';

/** Sends the hotkey `amount` where it has less: the chain takes no transaction of an empty account. Answers with what was sent, planck. */
export async function fundHotkey(
  chain: Chain,
  coldkey: Signer,
  hotkey: Address,
  amount: bigint,
  signal: AbortSignal,
): Promise<bigint> {
  if (amount === 0n || (await chain.account(hotkey, signal)).free >= amount) return 0n;
  await chain.transfer(coldkey, hotkey, amount, { signal, dryRun: true });
  return amount;
}

/** @param funded what `fundHotkey` sent */
export async function tellFunding(
  chain: Chain,
  hotkey: Address,
  funded: bigint,
  { io, signal }: { readonly io: Io; readonly signal: AbortSignal },
): Promise<void> {
  if (funded > 0n) io.note(`hotkey ${hotkey} was sent ${formatTensor(funded)} TENSOR`);
  else if ((await chain.account(hotkey, signal)).free < MIN_HOTKEY_BALANCE)
    io.note(`hotkey ${hotkey} cannot pay fees: send it 0.01 TENSOR (--fund-hotkey 0.01 would have)`);
}
