// The chain behind the RPC: blocks that the runtime itself accepts, the same script giving the same chain, files that outlive a killed process.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ApiPromise } from '@polkadot/api';
import { type Chain, createChain } from '../../../src/devchain/chain.ts';
import { buildGenesis, getPreset, presetNames, withGenesis } from '../../../src/devchain/genesis.ts';
import { hashingReady, storageKey } from '../../../src/devchain/hashing.ts';
import { encodeHeader } from '../../../src/devchain/header.ts';
import { keyToHex } from '../../../src/devchain/hex.ts';
import { list } from '../../../src/devchain/scale.ts';
import { genesisState, type RawSpec, readSpec, withRawValues } from '../../../src/devchain/spec.ts';
import { createState } from '../../../src/devchain/state.ts';
import { concatBytes, fromHex } from '../../../src/util/bytes.ts';
import { silentLog } from '../../../src/util/log.ts';
import { closeStarted, connectHttp, connectRaw, devAccount, SPEC, startChain } from './support.ts';

async function signedTransfer(api: ApiPromise, nonce: number): Promise<Uint8Array> {
  const call = api.tx.balances?.transferKeepAlive;
  assert.ok(call);
  const tx = await call(devAccount(9).address, 7n).signAsync(devAccount(0), {
    nonce,
    era: 0,
    blockHash: api.genesisHash,
  });
  return tx.toU8a();
}

describe('devchain: blocks', () => {
  let spec: RawSpec;
  let transfers: Uint8Array[];

  before(async () => {
    await hashingReady();
    spec = readSpec(SPEC);
    const chain = await startChain();
    const api = await connectHttp(chain);
    transfers = await Promise.all([0, 1, 2].map((nonce) => signedTransfer(api, nonce)));
    await api.disconnect();
    await chain.close();
  });

  const create = (raw = spec) =>
    createChain({ genesis: genesisState(raw), finalityLag: 2, dbFile: undefined, fsync: false }, { log: silentLog });

  function submitAll(chain: Chain): void {
    for (const transfer of transfers) assert.equal(chain.submit(transfer).ok, true);
  }

  it('have roots that the runtime finds again when it executes them', () => {
    const chain = create();
    chain.newBlock();
    submitAll(chain);
    for (const block of [chain.newBlock(), chain.newBlock()]) {
      const parent = chain.byHash(block.header.parentHash);
      assert.ok(parent);
      const trie = chain.stateAfter(parent);
      const encoded = concatBytes(encodeHeader(block.header), list(block.extrinsics.map(fromHex)));
      const state = createState(trie);
      chain.runtimeAt(parent).call(state, 'Core_execute_block', encoded);
      const forged = concatBytes(
        encodeHeader({ ...block.header, stateRoot: parent.header.stateRoot }),
        list(block.extrinsics.map(fromHex)),
      );
      assert.throws(
        () => chain.runtimeAt(parent).call(createState(trie), 'Core_execute_block', forged),
        /Storage root must match/,
      );
    }
  });

  it('are the same whenever the same is done', () => {
    const heads = [1, 2].map(() => {
      const chain = create();
      chain.newBlock();
      submitAll(chain);
      for (let block = 0; block < 25; block++) chain.newBlock();
      chain.reorg({ depth: 2, blocks: 3, drop: [], force: false });
      return chain.head().hash;
    });
    assert.equal(heads[0], heads[1]);
  });

  it('leave everything as it was when the runtime refuses to build', () => {
    const chain = create();
    chain.newBlock();
    submitAll(chain);
    const slot = keyToHex(storageKey('Aura', 'CurrentSlot'));
    chain.setStorage([[slot, '0xffffffffffffff00']]);
    const before = chain.head();
    assert.throws(() => chain.newBlock(), { code: 'RUNTIME_TRAPPED' });
    assert.equal(chain.head(), before);
    assert.equal(chain.pending().length, 3);
    chain.setStorage([[slot, '0x0000000000000000']]);
    assert.equal(chain.newBlock().extrinsics.length, 4);
  });

  it('keep the state of every block readable', () => {
    const chain = create();
    const number = storageKey('System', 'Number');
    for (let block = 0; block < 10; block++) chain.newBlock();
    for (const at of [1, 5, 10]) {
      const block = chain.byNumber(at);
      assert.ok(block);
      assert.deepEqual(createState(chain.stateAfter(block)).get(number), Uint8Array.of(at, 0, 0, 0));
    }
  });

  it('start from a genesis that the runtime builds from presets and patches', () => {
    const code = fromHex(spec.genesis.raw.top['0x3a636f6465'] ?? '');
    assert.ok(presetNames(code, { log: silentLog }).includes('strict'));
    assert.equal(getPreset(code, 'no such', { log: silentLog }), undefined);
    assert.deepEqual(withGenesis(spec, { preset: 'devnet' }, { log: silentLog }).genesis.raw.top, spec.genesis.raw.top);
    const strict = withGenesis(spec, { preset: 'strict', patch: '{"network":{"epochLength":10}}' }, { log: silentLog });
    const pairs = buildGenesis(code, getPreset(code, undefined, { log: silentLog }) ?? '', { log: silentLog });
    assert.deepEqual(
      pairs.map(([key]) => key),
      pairs.map(([key]) => key).sort(),
    );
    assert.equal(strict.genesis.raw.top['0x1f297c71532442c937f15f71bcb2ba39'], '0x0a000000');
    assert.equal(create(strict).newBlock().number, 1);
    assert.notEqual(create(strict).genesis().hash, create().genesis().hash);
    assert.throws(() => withGenesis(spec, { preset: 'no such' }, { log: silentLog }), {
      code: 'GENESIS_PRESET_UNKNOWN',
    });
    assert.throws(() => withGenesis(spec, { patch: '{"network":{"noSuchField":1}}' }, { log: silentLog }), {
      code: 'GENESIS_REFUSED',
    });
  });

  it('need a spec that is one', () => {
    assert.throws(() => readSpec('/no/such/file'), { code: 'DEVCHAIN_SPEC_INVALID' });
    assert.throws(() => readSpec(fileURLToPath(import.meta.url)), { code: 'DEVCHAIN_SPEC_INVALID' });
    assert.throws(() => genesisState(withRawValues(spec, { '0x01': 'zz' as `0x${string}` })), {
      code: 'DEVCHAIN_SPEC_INVALID',
    });
    assert.throws(() => create(withRawValues(spec, { '0x3a636f6465': '0x00' })), { code: 'RUNTIME_UNUSABLE' });
  });
});

describe('devchain: persistence', () => {
  let folder: string;
  let dbFile: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-devchain-'));
    dbFile = join(folder, 'chain.jsonl');
  });

  afterEach(async () => {
    await closeStarted();
    rmSync(folder, { recursive: true });
  });

  it('goes on where it stopped, with state, events and changes from outside', async () => {
    const first = await startChain({ dbFile });
    const client = await connectRaw(first);
    const api = await connectHttp(first);
    await client.call('author_submitExtrinsic', `0x${Buffer.from(await signedTransfer(api, 0)).toString('hex')}`);
    await first.newBlock(5);
    await client.call('dev_reorg', { depth: 1, blocks: 2 });
    await client.call('dev_setStorage', [['0x1234', '0xabcd']]);
    const head = first.head();
    const events = await client.call(
      'state_getStorage',
      keyToHex(storageKey('System', 'Events')),
      (await client.call('chain_getBlockHash', 2)) as string,
    );
    client.close();
    await api.disconnect();
    await first.close();

    const second = await startChain({ dbFile });
    assert.deepEqual(second.head(), head);
    assert.equal(second.finalizedHead().number, head.number - 2);
    const again = await connectRaw(second);
    assert.equal(await again.call('state_getStorage', '0x1234'), '0xabcd');
    assert.equal(await again.call('system_accountNextIndex', devAccount(0).address), 1);
    const block2 = await again.call('chain_getBlockHash', 2);
    assert.equal(await again.call('state_getStorage', keyToHex(storageKey('System', 'Events')), block2), events);
    assert.equal((await second.newBlock()).number, head.number + 1);
    again.close();
    await second.close();
    assert.equal(existsSync(`${dbFile}.lock`), false);
  });

  it('refuses the file of another chain, a second process, and damage', async () => {
    const chain = await startChain({ dbFile });
    await chain.newBlock(2);
    await assert.rejects(startChain({ dbFile }), { code: 'DEVCHAIN_DB_LOCKED' });
    await chain.close();
    await assert.rejects(startChain({ dbFile, genesisTime: 6000 }), { code: 'DEVCHAIN_FOREIGN_GENESIS' });
    const lines = readFileSync(dbFile, 'utf8').split('\n');
    const forged = JSON.parse(lines[3] ?? '') as { s: [string, string | null][] };
    writeFileSync(dbFile, [...lines.slice(0, 3), JSON.stringify({ ...forged, s: forged.s.slice(1) }), ''].join('\n'));
    await assert.rejects(startChain({ dbFile }), { code: 'DEVCHAIN_DB_DAMAGED' });
    writeFileSync(dbFile, [lines[0], lines[2], lines[3], ''].join('\n'));
    await assert.rejects(startChain({ dbFile }), { code: 'DEVCHAIN_DB_DAMAGED' });
    writeFileSync(dbFile, lines.join('\n'));
    const whole = await startChain({ dbFile });
    assert.equal(whole.head().number, 3);
    await whole.close();
  });

  it('loses nothing that was announced when the process is killed', async () => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('./tick-process.ts', import.meta.url)), SPEC, dbFile],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const heads: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      heads.push(line);
      if (heads.length === 25) child.kill('SIGKILL');
    }
    const [number, hash] = heads.at(-1)?.split(' ') ?? [];
    const chain = await startChain({ dbFile });
    const client = await connectRaw(chain);
    assert.ok(chain.head().number >= Number(number));
    assert.equal(await client.call('chain_getBlockHash', Number(number)), hash);
    client.close();
    await chain.close();
  });
});

describe('devchain: modes', () => {
  afterEach(closeStarted);

  it('tick makes blocks by itself until it is stalled', async () => {
    const chain = await startChain({ mode: 'tick', blockMs: 5 });
    const numbers: number[] = [];
    await new Promise<void>((resolve) => {
      const stop = chain.onHead(({ number }) => {
        numbers.push(number);
        if (numbers.length < 4) return;
        stop();
        resolve();
      });
    });
    assert.deepEqual(numbers, [2, 3, 4, 5]);
    const client = await connectRaw(chain);
    await client.call('dev_stall', { blocks: 60_000 });
    const { number } = chain.head();
    for (let round = 0; round < 20; round++) await client.call('system_health');
    assert.equal(chain.head().number, number);
    client.close();
    await chain.close();
  });

  it('instant makes one block for all transactions of a turn', async () => {
    const chain = await startChain({ mode: 'instant' });
    const api = await connectHttp(chain);
    const client = await connectRaw(chain);
    const batch = await Promise.all(
      [0, 1, 2].map(async (nonce) => ({
        id: nonce,
        method: 'author_submitExtrinsic',
        params: [`0x${Buffer.from(await signedTransfer(api, nonce)).toString('hex')}`],
      })),
    );
    const done = new Promise<void>((resolve) => chain.onHead(() => resolve()));
    await client.send(JSON.stringify(batch));
    await done;
    assert.equal(chain.head().number, 2);
    const { block } = (await client.call('chain_getBlock')) as { block: { extrinsics: string[] } };
    assert.equal(block.extrinsics.length, 4);
    client.close();
    await api.disconnect();
    await chain.close();
  });
});
