import assert from 'node:assert/strict';
import { chainTimeout, stateDiscarded, unreachable } from '../../../src/chain/errors.ts';
import { rememberStake } from '../../../src/chain/substrate/stake.ts';
import type { Hash, PeerId, SubnetId } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';

const SUBNET = 1 as SubnetId;
const PEER = 'a' as PeerId;
const first = '0x01' as Hash;
const second = '0x02' as Hash;
const third = '0x03' as Hash;

describe('proof of stake, remembered', () => {
  let asked: number;
  let now: number;
  let reply: () => Promise<boolean>;
  let ask: ReturnType<typeof rememberStake>;

  beforeEach(() => {
    asked = 0;
    now = 0;
    reply = async () => true;
    ask = rememberStake(
      () => {
        asked += 1;
        return reply();
      },
      () => now,
    );
  });

  it('asks once per question and block', async () => {
    const answers = await Promise.all([ask(SUBNET, PEER, 1, undefined, first), ask(SUBNET, PEER, 1, undefined, first)]);
    assert.deepEqual([answers, asked], [[true, true], 1]);
    await ask(SUBNET, PEER, 2, undefined, first);
    await ask(SUBNET, 'b' as PeerId, 1, undefined, first);
    await ask(SUBNET, PEER, 1, 5n, first);
    await ask(SUBNET, PEER, 1, 5n, first);
    assert.equal(asked, 4, 'another stake is another question');
    await ask(SUBNET, PEER, 1, undefined, second);
    assert.equal(asked, 5);
  });

  it('answers from memory for a minute of outage, then fails', async () => {
    await ask(SUBNET, PEER, 1, undefined, first);
    reply = () => Promise.reject(unreachable(['x']));
    now = 60_000;
    assert.equal(await ask(SUBNET, PEER, 1, undefined, second), true);
    reply = () => Promise.reject(chainTimeout('x', 1));
    assert.equal(await ask(SUBNET, PEER, 1, undefined, second), true);
    now = 60_001;
    await assert.rejects(ask(SUBNET, PEER, 1, undefined, third), (error) => errorCode(error) === 'CHAIN_TIMEOUT');
    await assert.rejects(
      ask(SUBNET, 'b' as PeerId, 1, undefined, third),
      (error) => errorCode(error) === 'CHAIN_TIMEOUT',
    );
  });

  it('ends the waiting of whose signal aborts, and nobody else', async () => {
    const late = Promise.withResolvers<boolean>();
    reply = () => late.promise;
    const why = new Error('enough');
    const stop = new AbortController();
    const impatient = ask(SUBNET, PEER, 1, undefined, first, stop.signal);
    const patient = ask(SUBNET, PEER, 1, undefined, first);
    stop.abort(why);
    await assert.rejects(impatient, why);
    late.resolve(true);
    assert.deepEqual([await patient, asked], [true, 1]);
  });

  it('does not hide other failures, nor remember them', async () => {
    await ask(SUBNET, PEER, 1, undefined, first);
    reply = () => Promise.reject(stateDiscarded(second));
    await assert.rejects(
      ask(SUBNET, PEER, 1, undefined, second),
      (error) => errorCode(error) === 'CHAIN_STATE_DISCARDED',
    );
    reply = async () => false;
    assert.equal(await ask(SUBNET, PEER, 1, undefined, second), false);
  });
});
