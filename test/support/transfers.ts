// Signed transfers as bytes, for tests and benchmarks that look at the chain and not at its client.

import assert from 'node:assert/strict';
import { connectHttp, devAccount, startChain } from '../compliance/devchain/support.ts';

/** Immortal transfers of 7 planck from account 0 to account 9 of the development mnemonic, with nonces from 0 on, as hex. */
export async function signTransfers(count: number): Promise<readonly string[]> {
  const chain = await startChain();
  const api = await connectHttp(chain);
  try {
    const call = api.tx.balances?.transferKeepAlive;
    assert.ok(call);
    const [from, to] = [devAccount(0), devAccount(9).address];
    const signed: string[] = [];
    for (let nonce = 0; nonce < count; nonce++) {
      const tx = await call(to, 7n).signAsync(from, { nonce, era: 0, blockHash: api.genesisHash });
      signed.push(tx.toHex());
    }
    return signed;
  } finally {
    await api.disconnect();
    await chain.close();
  }
}
