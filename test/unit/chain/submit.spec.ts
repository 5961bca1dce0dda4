import assert from 'node:assert/strict';
import { chainTimeout, stateDiscarded, unreachable } from '../../../src/chain/errors.ts';
import { createHeadFeed } from '../../../src/chain/heads.ts';
import type { Link } from '../../../src/chain/substrate/link.ts';
import { RpcFault } from '../../../src/chain/substrate/rpc-socket.ts';
import type { Mortality } from '../../../src/chain/substrate/runtime.ts';
import { createSubmitter } from '../../../src/chain/substrate/submit.ts';
import type { Receipt, SubmitOptions } from '../../../src/chain/types.ts';
import type { Address, BlockNumber, Hash } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';
import { silentLog } from '../../../src/util/log.ts';

const ACCOUNT = `0x${'11'.repeat(20)}` as Address;
const PERIOD = 8;
const stale = new RpcFault(1010, 'Invalid Transaction: Transaction is outdated');
const lowPriority = new RpcFault(1014, 'Priority is too low: (1 vs 1)');

type Answer = () => unknown;

/** An endpoint whose answers the test decides; the transaction with nonce n is `0x0n`, with a tip of t GPlanck `0x0n+t`. */
function createEndpoint() {
  const best = createHeadFeed();
  const finalized = createHeadFeed();
  const blocks = new Map<Hash, { number: number; parent: Hash; extrinsics: string[] }>();
  const submitted: string[] = [];
  const births: Mortality[] = [];
  const closing = new AbortController();
  /** What the state of a block counts for the account; other states are not there. */
  let dryRun: Answer = () => 'good';
  const counted = new Map<unknown, number>();
  /** Answers given once each, before the usual ones. */
  const next = new Map<string, Answer[]>();
  let nonce = 0;

  function answer(method: string, params: readonly unknown[]): unknown {
    const scripted = next.get(method)?.shift();
    if (method === 'author_submitExtrinsic') submitted.push(String(params[0]));
    if (scripted !== undefined) return scripted();
    switch (method) {
      case 'system_accountNextIndex':
        return nonce;
      case 'chain_getBlock': {
        const block = blocks.get(params[0] as Hash);
        return block && { block: { header: { parentHash: block.parent }, extrinsics: block.extrinsics } };
      }
      case 'chain_getBlockHash':
        return [...blocks].find(([, { number }]) => number === params[0])?.[0];
      case 'state_call': {
        if (params[0] === 'BlockBuilder_apply_extrinsic') return dryRun();
        const count = counted.get(params[2]);
        if (count === undefined) throw stateDiscarded(String(params[2]));
        return `0x0${count}000000`;
      }
      default:
        return null;
    }
  }
  const request = async (method: string, params: readonly unknown[]) => answer(method, params);
  const runtime = {
    extrinsic: (_call: unknown, _signer: unknown, given: number, mortality: Mortality, tip: bigint) => {
      if (tip === 0n) births.push(mortality);
      return `0x0${given}${tip === 0n ? '' : `+${tip / 10n ** 9n}`}`;
    },
    extrinsicHash: () => '0xff' as Hash,
    dryRunError: (said: unknown) => (said === 'good' ? undefined : { pallet: 'Network', error: String(said) }),
    events: () => [],
  };
  const link = {
    best,
    finalized,
    closed: closing.signal,
    connection: async () => ({ runtime }),
    request,
    requestOnce: request,
    ask: (method: string, params: readonly unknown[], at?: Hash) =>
      request(method, at === undefined ? params : [...params, at]),
  } as unknown as Link;

  return {
    link,
    submitted,
    births,
    close: () => closing.abort(unreachable(['x'])),
    counts(value: number) {
      nonce = value;
    },
    /** The next answers to this method. */
    will(method: string, ...answers: Answer[]) {
      next.set(method, answers);
    },
    /** A block that is told as best head unless `quiet`. */
    async block(number: number, extrinsics: string[] = [], quiet = false) {
      const hash = `0xb${number}` as Hash;
      blocks.set(hash, { number, parent: `0xb${number - 1}` as Hash, extrinsics });
      if (!quiet) best.publish({ number: number as BlockNumber, hash });
      await settle();
    },
    /** This block is final, and its state counts so many transactions of the account, if it is there. */
    final(number: number, count?: number) {
      const hash = `0xb${number}` as Hash;
      if (count !== undefined) counted.set(hash, count);
      finalized.publish({ number: number as BlockNumber, hash });
    },
    /** What a dry run answers. */
    tries(answers: Answer) {
      dryRun = answers;
    },
    forget: (number: number) => blocks.delete(`0xb${number}` as Hash),
  };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

function fail(error: Error): Answer {
  return () => {
    throw error;
  };
}

describe('transactions from signing to inclusion', () => {
  let endpoint: ReturnType<typeof createEndpoint>;
  let submitter: ReturnType<typeof createSubmitter>;
  let outcome: { receipt?: Receipt; error?: unknown };

  beforeEach(async () => {
    endpoint = createEndpoint();
    submitter = createSubmitter(endpoint.link, { log: silentLog }, 0);
    outcome = {};
    await endpoint.block(10);
  });
  afterEach(() => endpoint.close());

  async function submit(options: SubmitOptions = {}): Promise<void> {
    const signer = { address: ACCOUNT, sign: () => new Uint8Array(65) };
    const make = () => ({ pallet: 'balances', name: 'transferKeepAlive', args: [] });
    submitter.submit({ call: 'transfer', signer, make, period: () => PERIOD }, options).then(
      (receipt) => {
        outcome.receipt = receipt;
      },
      (error) => {
        outcome.error = error;
      },
    );
    await settle();
  }

  it('is born in the parent of the best block, which no pool is too slow to know', async () => {
    await endpoint.block(9, [], true);
    await submit();
    assert.deepEqual(endpoint.births, [{ birth: { number: 9, hash: '0xb9' }, period: PERIOD }]);
  });

  it('is not sent when a dry run fails, where it is asked for', async () => {
    endpoint.tries(() => 'NotKeyOwner');
    await submit({ dryRun: true });
    assert.match(String(outcome.error), /was not sent, it would fail with Network.NotKeyOwner/);
    assert.deepEqual(endpoint.submitted, []);
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00']);
  });

  for (const [name, answer] of [
    ['goes well', () => 'good'],
    ['is not offered', fail(new RpcFault(-32601, 'Method not found'))],
  ] as const) {
    it(`is sent when a dry run ${name}`, async () => {
      endpoint.tries(answer);
      await submit({ dryRun: true });
      assert.deepEqual([endpoint.submitted, outcome], [['0x00'], {}]);
    });
  }

  it('is done when a block has it', async () => {
    await submit();
    assert.deepEqual(outcome, {});
    await endpoint.block(11, ['0x00']);
    assert.equal(outcome.receipt?.block.number, 11);
    assert.deepEqual(endpoint.submitted, ['0x00']);
  });

  for (const silence of [chainTimeout('x', 1), unreachable(['x'])]) {
    it(`is neither failed nor signed again when nobody answers the handing over: ${silence.code}`, async () => {
      endpoint.will('author_submitExtrinsic', fail(silence), fail(stale));
      await submit();
      assert.deepEqual(outcome, {});
      await endpoint.block(11);
      await endpoint.block(12);
      await endpoint.block(13);
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00'], 'the same bytes are offered again');
      await endpoint.block(14, ['0x00']);
      assert.equal(outcome.receipt?.block.number, 14);
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00']);
    });
  }

  describe('that waits in a pool', () => {
    const imported = new RpcFault(1013, 'Already imported');

    /** Blocks without it, each after which the pool answers so to the next offers. */
    async function waits(from: number, ...answers: Answer[]): Promise<number> {
      endpoint.will('author_submitExtrinsic', ...answers);
      for (let number = from; number < from + 3; number += 1) await endpoint.block(number);
      return from + 3;
    }

    it('is offered again with a tip, which doubles, and is done whichever version a block takes', async () => {
      await submit();
      let number = await waits(11, fail(imported));
      number = await waits(number, fail(imported));
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00', '0x00+1', '0x00+1', '0x00+2']);
      await endpoint.block(number, ['0x05', '0x00+1']);
      assert.equal(outcome.receipt?.block.number, number);
    });

    it('stays what it was when the pool does not want the tip', async () => {
      await submit();
      const number = await waits(11, fail(imported), fail(new RpcFault(1010, 'Invalid Transaction: Payment')));
      assert.deepEqual(outcome, {});
      await endpoint.block(number, ['0x00']);
      assert.equal(outcome.receipt?.block.number, number);
    });

    it('is offered as it was to a pool that has dropped it', async () => {
      await submit();
      await waits(11);
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00']);
    });
  });

  it('is looked for until the endpoint answers again', async () => {
    await submit();
    const away = Array.from({ length: 3 }, () => fail(unreachable(['x'])));
    endpoint.will('chain_getBlock', ...away);
    endpoint.will('state_getStorage', ...away);
    await endpoint.block(11, ['0x00']);
    while (outcome.receipt === undefined && outcome.error === undefined) await settle();
    assert.equal(outcome.error, undefined);
    assert.equal(outcome.receipt?.block.number, 11);
  });

  it('is found below a block whose parent the endpoint did not know at first', async () => {
    await submit();
    await endpoint.block(11, ['0x00'], true);
    endpoint.forget(11);
    await endpoint.block(12);
    assert.deepEqual(outcome, {});
    await endpoint.block(11, ['0x00'], true);
    await endpoint.block(13);
    assert.equal(outcome.receipt?.block.number, 11);
  });

  it('expires only when every block of its life was looked through', async () => {
    await submit();
    for (let number = 11; number < 10 + PERIOD - 1; number += 1) await endpoint.block(number);
    assert.deepEqual(outcome, {});
    endpoint.forget(16);
    await endpoint.block(17);
    assert.equal(errorCode(outcome.error), 'EXTRINSIC_EXPIRED', 'block 16 was seen when it was the head');

    outcome = {};
    await submit();
    await endpoint.block(18, [], true);
    endpoint.forget(18);
    await endpoint.block(30);
    assert.deepEqual(outcome, {}, 'blocks 18 to 29 are not known yet');
    for (let number = 18; number < 30; number += 1) await endpoint.block(number, number === 19 ? ['0x00'] : [], true);
    await endpoint.block(31);
    assert.equal(outcome.receipt?.block.number, 19);
  });

  it('takes the next nonce when another transaction of the account waits with this one', async () => {
    endpoint.will('author_submitExtrinsic', fail(lowPriority));
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x01']);
    await endpoint.block(11, ['0x00', '0x01']);
    assert.equal(outcome.receipt?.block.number, 11);
  });

  it('hands over the next one before the last is answered, while others wait; a refusal is of one alone', async () => {
    await submit();
    const answer = Promise.withResolvers<unknown>();
    endpoint.will('author_submitExtrinsic', () => answer.promise);
    await submit();
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x01', '0x02']);
    endpoint.counts(3);
    answer.reject(stale);
    await settle();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x01', '0x02', '0x03'], 'another process took 1');
    await submit();
    assert.equal(endpoint.submitted.at(-1), '0x04');
    await endpoint.block(11, ['0x00', '0x02', '0x03', '0x04']);
    assert.equal(outcome.error, undefined);
  });

  it('waits for the first answer before a second is signed', async () => {
    const answer = Promise.withResolvers<unknown>();
    endpoint.will('author_submitExtrinsic', () => answer.promise);
    await submit();
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00']);
    answer.resolve('0x');
    await settle();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x01']);
  });

  it('takes the next nonce when another process has sent the very same bytes', async () => {
    endpoint.will('author_submitExtrinsic', fail(new RpcFault(1013, 'Transaction Already Imported')));
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x01']);
    await endpoint.block(11, ['0x00']);
    assert.deepEqual(outcome, {}, 'that was the other one');
    await endpoint.block(12, ['0x01']);
    assert.equal(outcome.receipt?.block.number, 12);
  });

  it('counts anew when the nonce is used, and gives up at some time', async () => {
    endpoint.will('author_submitExtrinsic', () => {
      endpoint.counts(4);
      throw stale;
    });
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x04']);
    await endpoint.block(11, ['0x04']);
    assert.equal(outcome.receipt?.block.number, 11);

    endpoint.will('author_submitExtrinsic', ...Array.from({ length: 100 }, () => fail(stale)));
    await submit();
    while (outcome.error === undefined) await settle();
    assert.equal(errorCode(outcome.error), 'EXTRINSIC_REJECTED');
  });

  describe('whose nonce another process used', () => {
    it('is signed anew with the next one as soon as that is final, and not before', async () => {
      await submit();
      await endpoint.block(11, ['0xaa']);
      endpoint.counts(1);
      await endpoint.block(12);
      endpoint.final(10, 0);
      await endpoint.block(13);
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00'], 'block 11 may still be undone');
      endpoint.final(11, 1);
      await endpoint.block(14);
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00', '0x01']);
      await endpoint.block(15, ['0x01']);
      assert.equal(outcome.receipt?.block.number, 15);
      assert.deepEqual(endpoint.submitted, ['0x00', '0x00', '0x01']);
    });

    it('is not when the final block was not looked through: it may be there', async () => {
      await submit();
      await endpoint.block(11, ['0x00'], true);
      endpoint.forget(11);
      endpoint.final(11, 1);
      await endpoint.block(12);
      assert.deepEqual([endpoint.submitted, outcome], [['0x00'], {}]);
      await endpoint.block(11, ['0x00'], true);
      await endpoint.block(13);
      assert.equal(outcome.receipt?.block.number, 11);
    });

    it('waits for its time to end where the endpoint has no such state', async () => {
      await submit();
      for (const number of [11, 12, 13]) await endpoint.block(number);
      endpoint.final(12);
      for (const number of [14, 15, 16]) await endpoint.block(number);
      assert.deepEqual(outcome, {});
      await endpoint.block(17);
      assert.equal(errorCode(outcome.error), 'EXTRINSIC_EXPIRED');
    });

    it('ends with what to look for when others always come first', async () => {
      await submit();
      for (let number = 11; outcome.error === undefined && number < 500; number += 1) {
        await endpoint.block(number);
        endpoint.final(number, 9);
      }
      assert.equal(errorCode(outcome.error), 'EXTRINSIC_REJECTED');
      assert.match(String(outcome.error), /does another process use the key/);
    });
  });

  it('counts its own transactions where the endpoint does not count those that wait', async () => {
    await submit();
    await submit();
    assert.deepEqual(endpoint.submitted, ['0x00', '0x01']);
    await endpoint.block(11, ['0x00', '0x01']);
    await submit();
    assert.equal(endpoint.submitted.at(-1), '0x00', 'nothing waits any more: the endpoint knows best');
  });

  it('fails when bytes that were taken are refused for a lasting cause, and for no other', async () => {
    const poor = new RpcFault(1010, 'Invalid Transaction: Inability to pay some fees (e.g. account balance too low)');
    await submit();
    endpoint.will('author_submitExtrinsic', fail(lowPriority), fail(poor));
    for (const number of [11, 12, 13, 14, 15]) await endpoint.block(number);
    assert.deepEqual(outcome, {});
    await endpoint.block(16);
    assert.equal(errorCode(outcome.error), 'EXTRINSIC_REJECTED');
  });

  it('ends with the link', async () => {
    await submit();
    endpoint.close();
    await settle();
    assert.equal(errorCode(outcome.error), 'CHAIN_UNREACHABLE');
  });
});
