import assert from 'node:assert/strict';
import { extrinsicFailed } from '../../../src/chain/errors.ts';
import type { Signer, SubnetNode } from '../../../src/chain/types.ts';
import type { Address, Epoch, NodeId, SubnetId } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';
import { createOwnHotkey } from '../../../src/validator/own-hotkey.ts';
import { createSwarm, type Swarm } from './swarm.ts';

const OWN = { subnet: 1 as SubnetId, node: 3 as NodeId, hotkey: '0x0a' as Address };

const EPOCH = 9 as Epoch;

describe('a node whose hotkey was replaced', () => {
  const cases: readonly (readonly [string, string, string | undefined, string])[] = [
    ['has another hotkey, and voted', 'InvalidHotkeySubnetNodeId', '0x0b', 'HOTKEY_REPLACED'],
    ['has another hotkey, and proposed', 'InvalidValidator', '0x0b', 'HOTKEY_REPLACED'],
    ['has its hotkey, and was not elected', 'InvalidValidator', '0x0a', 'EXTRINSIC_FAILED'],
    ['is gone', 'InvalidHotkeySubnetNodeId', undefined, 'EXTRINSIC_FAILED'],
    ['is refused for something else', 'ScoreOverflow', '0x0b', 'EXTRINSIC_FAILED'],
  ];
  for (const [name, error, hotkey, code] of cases) {
    it(`${name}: ${code}`, async () => {
      const node = async () => (hotkey === undefined ? undefined : ({ hotkey } as unknown as SubnetNode));
      const send = async () => {
        throw extrinsicFailed('attest', 'Network', error);
      };
      const own = createOwnHotkey(OWN, { node });
      const sent = own.duty(EPOCH, send, new AbortController().signal);
      await assert.rejects(sent, (thrown) => errorCode(thrown) === code);
      assert.equal(own.isReplaced(EPOCH), code === 'HOTKEY_REPLACED');
      assert.equal(own.isReplaced((EPOCH + 1) as Epoch), false, 'tried again in the next epoch');
    });
  }

  it('asks nothing where all is well', async () => {
    const node = () => assert.fail('not needed');
    const own = createOwnHotkey(OWN, { node });
    assert.equal(await own.duty(EPOCH, async () => 7, new AbortController().signal), 7);
  });

  describe('in a subnet', () => {
    let swarm: Swarm | undefined;
    afterEach(() => swarm?.stop());

    it('is told so at its next duty, and serves on; with the old key back it votes again', async () => {
      swarm = await createSwarm({ hosters: 4, attestors: 1 });
      const { chain, subnet, firstEpoch, runTo, submission, scores } = swarm;
      const [own] = swarm.nodes;
      assert.ok(own !== undefined);
      const { coldkey, hotkey } = (await chain.chain.node(subnet, own.id)) ?? assert.fail('registered');
      const owner: Signer = { address: coldkey, sign: () => new Uint8Array(65) };
      const next = `0x${'fe'.repeat(20)}` as Address;
      const told = () =>
        own.events.flatMap((event) => (event.type === 'failed' && event.code === 'HOTKEY_REPLACED' ? [event] : []));
      const voted = async (epoch: number) =>
        (await submission(epoch))?.attests.some(({ nodeId }) => nodeId === own.id) === true;

      await runTo(firstEpoch + 1, 19);
      assert.equal(await voted(firstEpoch + 1), true);
      assert.deepEqual(told(), []);
      await chain.include(chain.chain.updateHotkey(owner, { hotkey, next }));
      await runTo(firstEpoch + 4, 19);
      const [first] = told();
      assert.ok(
        first !== undefined && ['attest', 'propose'].includes(first.what),
        own.events.map(({ type }) => type).join(' '),
      );
      assert.ok(told().length <= 4, 'once in an epoch');
      assert.match(first.message, new RegExp(`hotkey ${next} now.*signs with ${hotkey}.*--hotkey`));
      for (const epoch of [firstEpoch + 3, firstEpoch + 4]) {
        assert.equal(await voted(epoch), false);
        const elected = await chain.chain.electedValidator(subnet, epoch as typeof firstEpoch);
        if (elected !== own.id) assert.ok((await scores(epoch)).has(Number(own.id)), `its work of ${epoch - 1} counts`);
      }
      await chain.include(chain.chain.updateHotkey(owner, { hotkey: next, next: hotkey }));
      await runTo(firstEpoch + 6, 19);
      assert.equal(await voted(firstEpoch + 6), true);
    });
  });
});
