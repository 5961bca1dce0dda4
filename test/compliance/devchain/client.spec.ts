// What an unmodified @polkadot/api client does with a node, done with the dev chain.

import assert from 'node:assert/strict';
import type { ApiPromise, SubmittableResult } from '@polkadot/api';
import type { SubmittableExtrinsic } from '@polkadot/api/types';
import type { KeyringPair } from '@polkadot/keyring/types';
import type { DevChain } from '../../../src/devchain/devchain.ts';
import { connectHttp, connectWs, devAccount, ONE_TENSOR, startChain } from './support.ts';

interface Account {
  readonly nonce: { toNumber(): number };
  readonly data: { readonly free: { toBigInt(): bigint } };
}

async function accountAt(api: { query: ApiPromise['query'] }, address: string): Promise<Account> {
  return (await api.query.system?.account?.(address)) as unknown as Account;
}

/** Signs, submits, builds blocks until the transaction is final; answers every status in order. */
async function follow(
  chain: DevChain,
  tx: SubmittableExtrinsic<'promise'>,
  signer: KeyringPair,
): Promise<readonly SubmittableResult[]> {
  const results: SubmittableResult[] = [];
  await new Promise<void>((resolve, reject) => {
    tx.signAndSend(signer, (result) => {
      results.push(result);
      if (result.status.isReady) void chain.newBlock();
      if (result.status.isInBlock) void chain.newBlock(2);
      if (result.status.isFinalized) resolve();
      if (result.isError) reject(new Error(result.status.type));
    }).catch(reject);
  });
  return results;
}

function transfer(api: ApiPromise, to: string, planck: bigint): SubmittableExtrinsic<'promise'> {
  const call = api.tx.balances?.transferKeepAlive;
  assert.ok(call);
  return call(to, planck);
}

const names = (result: SubmittableResult) => result.events.map(({ event }) => `${event.section}.${event.method}`);

describe('devchain: @polkadot/api over WebSocket', () => {
  const [alith, baltathar, charleth] = [devAccount(0), devAccount(1), devAccount(2)];
  let chain: DevChain;
  let api: ApiPromise;

  before(async () => {
    chain = await startChain();
    api = await connectWs(chain);
  });

  after(async () => {
    await api.disconnect();
    await chain.close();
  });

  it('connects and reads the chain from its metadata', async () => {
    assert.equal(api.genesisHash.toHex(), chain.genesisHash);
    assert.equal(api.runtimeChain.toString(), 'Tessera Devnet');
    assert.equal(api.registry.chainTokens[0], 'TENSOR');
    assert.equal(alith.address, '0xf24FF3a9CF04c71Dbc94D0b566f7A27B94566cac');
    assert.equal((await accountAt(api, alith.address)).data.free.toBigInt(), 1_000_000n * ONE_TENSOR);
    assert.ok(api.query.network?.subnetNodesData);
  });

  it('hears of best and finalized heads in order, two blocks apart', async () => {
    const best: number[] = [];
    const final: number[] = [];
    const stopBest = await api.rpc.chain.subscribeNewHeads((header) => void best.push(header.number.toNumber()));
    const start = chain.head().number;
    let reached: () => void = () => undefined;
    const third = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const stopFinal = await api.rpc.chain.subscribeFinalizedHeads((header) => {
      final.push(header.number.toNumber());
      if (header.number.toNumber() === start + 3) reached();
    });
    await chain.newBlock(5);
    await third;
    stopFinal();
    stopBest();
    assert.deepEqual(best, [start, start + 1, start + 2, start + 3, start + 4, start + 5]);
    const first = Math.max(0, start - 2);
    assert.deepEqual(
      final,
      Array.from({ length: start + 3 - first + 1 }, (_, index) => first + index),
    );
    assert.equal(chain.finalizedHead().number, start + 3);
  });

  it('follows a transfer from ready to finalized, with its events and fee', async () => {
    const before = (await accountAt(api, baltathar.address)).data.free.toBigInt();
    const nonce = (await accountAt(api, alith.address)).nonce.toNumber();
    const tx = transfer(api, baltathar.address, ONE_TENSOR);
    const { partialFee } = await tx.paymentInfo(alith.address);
    const results = await follow(chain, tx, alith);
    assert.deepEqual(
      results.map(({ status }) => status.type),
      ['Ready', 'InBlock', 'Finalized'],
    );
    const [, inBlock] = results;
    assert.ok(
      inBlock && names(inBlock).includes('balances.Transfer') && names(inBlock).includes('system.ExtrinsicSuccess'),
    );
    assert.equal((await accountAt(api, baltathar.address)).data.free.toBigInt(), before + ONE_TENSOR);
    assert.equal((await accountAt(api, alith.address)).nonce.toNumber(), nonce + 1);
    const paid = inBlock.events.find(({ event }) => event.method === 'TransactionFeePaid')?.event.data[1];
    assert.equal(paid?.toString(), partialFee.toString());
  });

  it('includes a call that fails, takes the fee and tells the error', async () => {
    const before = (await accountAt(api, charleth.address)).data.free.toBigInt();
    const results = await follow(chain, transfer(api, alith.address, 2_000_000n * ONE_TENSOR), charleth);
    const inBlock = results.find(({ status }) => status.isInBlock);
    assert.ok(inBlock?.dispatchError);
    assert.ok(names(inBlock).includes('system.ExtrinsicFailed'));
    const after = (await accountAt(api, charleth.address)).data.free.toBigInt();
    assert.ok(after < before && before - after < ONE_TENSOR);
  });

  it('sends storage as it is and then as it changes', async () => {
    const seen: bigint[] = [];
    const query = api.query.system?.account;
    assert.ok(query);
    const to = devAccount(5).address;
    const start = (await accountAt(api, to)).data.free.toBigInt();
    let changed: () => void = () => undefined;
    const second = new Promise<void>((resolve) => {
      changed = resolve;
    });
    const stop = (await query(to, (account: unknown) => {
      seen.push((account as Account).data.free.toBigInt());
      if (seen.length === 2) changed();
    })) as unknown as () => void;
    await chain.newBlock();
    await follow(chain, transfer(api, to, 7n), alith);
    await second;
    stop();
    assert.deepEqual(seen, [start, start + 7n]);
  });

  it('reads storage and runs the runtime at an old block', async () => {
    const old = await api.rpc.chain.getBlockHash(1);
    const then = await api.at(old);
    assert.equal((await accountAt(then, alith.address)).nonce.toNumber(), 0);
    assert.ok((await accountAt(api, alith.address)).nonce.toNumber() > 0);
    const call = api.call.accountNonceApi?.accountNonce;
    assert.equal((await call?.(alith.address))?.toString(), (await accountAt(api, alith.address)).nonce.toString());
  });

  it('shows blocks with their extrinsics, and the events of each', async () => {
    const hash = await api.rpc.chain.getBlockHash(1);
    const { block } = await api.rpc.chain.getBlock(hash);
    assert.equal(block.header.number.toNumber(), 1);
    assert.deepEqual(
      block.extrinsics.map(({ method }) => `${method.section}.${method.method}`),
      ['timestamp.set'],
    );
    const now = await (await api.at(hash)).query.timestamp?.now?.();
    assert.equal(now?.toString(), '1770000006000');
  });
});

describe('devchain: @polkadot/api over HTTP', () => {
  let chain: DevChain;
  let api: ApiPromise;

  before(async () => {
    chain = await startChain({ mode: 'instant' });
    api = await connectHttp(chain);
  });

  after(async () => {
    await api.disconnect();
    await chain.close();
  });

  it('queries, signs and submits without subscriptions', async () => {
    const [alith, to] = [devAccount(0), devAccount(9)];
    const before = (await accountAt(api, to.address)).data.free.toBigInt();
    const included = new Promise<void>((resolve) => chain.onHead(() => resolve()));
    const signed = await transfer(api, to.address, 5n).signAsync(alith, { nonce: -1 });
    const hash = await api.rpc.author.submitExtrinsic(signed);
    assert.equal(hash.toHex(), signed.hash.toHex());
    await included;
    assert.equal((await accountAt(api, to.address)).data.free.toBigInt(), before + 5n);
    const { block } = await api.rpc.chain.getBlock();
    assert.ok(block.extrinsics.some((extrinsic) => extrinsic.hash.eq(hash)));
  });
});
