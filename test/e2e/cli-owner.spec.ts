// An owner's money and a node's life, by the commands a person types, on the real runtime: stake, delegation, withdrawal, addresses,
// policy, leaving, and the reasons of rewards. In this process, for speed; cli.spec.ts starts processes.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSigner } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain, Signer } from '../../src/chain/types.ts';
import type { Command } from '../../src/cli/command.ts';
import { activate } from '../../src/cli/commands/activate.ts';
import { activateSubnet } from '../../src/cli/commands/activate-subnet.ts';
import { balance } from '../../src/cli/commands/balance.ts';
import { cleanExpired } from '../../src/cli/commands/clean-expired.ts';
import { delegate } from '../../src/cli/commands/delegate.ts';
import { doctor } from '../../src/cli/commands/doctor.ts';
import { epochs } from '../../src/cli/commands/epochs.ts';
import { keygen } from '../../src/cli/commands/keygen.ts';
import { registerSubnet } from '../../src/cli/commands/register-subnet.ts';
import { registerSubnetNode } from '../../src/cli/commands/register-subnet-node.ts';
import { removeNode } from '../../src/cli/commands/remove-node.ts';
import { run } from '../../src/cli/commands/run.ts';
import { scores } from '../../src/cli/commands/scores.ts';
import { stake } from '../../src/cli/commands/stake.ts';
import { status } from '../../src/cli/commands/status.ts';
import { updateColdkey } from '../../src/cli/commands/update-coldkey.ts';
import { updateHotkey } from '../../src/cli/commands/update-hotkey.ts';
import { updatePeer } from '../../src/cli/commands/update-peer.ts';
import { updateSubnet } from '../../src/cli/commands/update-subnet.ts';
import { keepOutcome } from '../../src/cli/diary.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import type { Epoch, NodeId, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { decodePolicy } from '../../src/wire/policy.ts';
import { type Ran, runCommand } from '../support/command.ts';

const SUBNET = 128_001 as SubnetId;
const TENSOR = 10n ** 18n;
const EPOCH_LENGTH = 20;
const SLOT = 3;

describe('command line: owners', function () {
  this.timeout(10 * 60_000);
  let folder: string;
  let devChain: DevChain;
  let chain: Chain;
  let hotkeys: readonly Signer[];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-owner-'));
    devChain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'instant' }, { log: silentLog });
    chain = await connectChain({ endpoints: [devChain.endpoint] }, { log: silentLog });
    hotkeys = await Promise.all([6, 7].map((n) => openSigner(`//dev:${n}`)));
  });

  after(async () => {
    await chain?.close();
    await devChain?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function type(command: Command, flags: Record<string, unknown> = {}, words: { action?: string; text?: string } = {}) {
    const { 'data-dir': given, ...rest } = flags;
    const dataDir = typeof given === 'string' ? given : join(folder, 'n1');
    return runCommand(command, { flags: { rpc: devChain.endpoint, ...rest }, dataDir, ...words });
  }

  function done(ran: Ran): Record<string, unknown> {
    assert.equal(ran.code, 0, ran.notes);
    return ran.results[0] ?? {};
  }

  async function runTo(block: number): Promise<void> {
    const missing = block - devChain.head().number;
    if (missing > 0) await devChain.newBlock(missing);
    for await (const head of chain.heads('best', AbortSignal.timeout(10_000))) if (head.number >= block) break;
  }

  it('sets up a subnet of two nodes with a policy from a file', async () => {
    const policy = join(folder, 'policy.yaml');
    writeFileSync(policy, 'hoster-share: 0.8\nattestor-share: 0.2\naccess: registered\n');
    for (const n of [1, 2]) done(await type(keygen, { 'data-dir': join(folder, `n${n}`) }));
    const address = ['/ip4/127.0.0.1/tcp/31331'];
    done(await type(registerSubnet, { coldkey: '//dev:0', 'announce-maddrs': address, policy }));
    const decoded = decodePolicy((await chain.subnet(SUBNET))?.misc ?? new Uint8Array());
    assert.ok(
      decoded.ok && decoded.policy.hosterShare === (TENSOR * 8n) / 10n && decoded.policy.access === 'registered',
    );
    for (const n of [1, 2]) {
      const own = { 'data-dir': join(folder, `n${n}`), hotkey: `//dev:${n + 5}` };
      done(await type(registerSubnetNode, { ...own, coldkey: '//dev:1', stake: '110' }));
      done(await type(activate, own));
    }
    done(await type(activateSubnet, { coldkey: '//dev:0' }));
  });

  it('doctor looks at the chain, the registration, the identity and the money', async () => {
    const ran = await type(doctor, { hotkey: '//dev:6', 'announce-maddrs': ['/ip4/127.0.0.1/tcp/31331'] });
    const verdicts = new Map(ran.results.map(({ check, verdict, says }) => [check, `${verdict}: ${says}`]));
    assert.match(verdicts.get(`rpc ${devChain.endpoint}`) ?? '', /^good: block \d+, finalized \d+/);
    assert.match(verdicts.get('registration') ?? '', /^good: node 1, class Validator, 110 TENSOR/);
    assert.match(verdicts.get('identity') ?? '', /^good: peer 12D3KooW/);
    assert.match(verdicts.get('balance') ?? '', /^good: hotkey has \d+/);
    assert.match(verdicts.get('epochs') ?? '', /^good: (none|of the last \d+) of the subnet/);
    assert.match(verdicts.get('keys') ?? '', /^good: 3 keys/);
    const stranger = await type(doctor, { hotkey: '//dev:11', 'data-dir': join(folder, 'n2') });
    const lacking = new Map(stranger.results.map(({ check, verdict }) => [check, verdict]));
    assert.equal(lacking.get('registration'), 'problem');
    assert.equal(stranger.code, 1);
  });

  it('adds stake, and refuses what the chain would refuse before it costs a fee', async () => {
    const of = { coldkey: '//dev:1', 'subnet-node-id': 1 };
    const missing = await type(stake, of, { action: 'add' });
    assert.deepEqual([missing.code, /--amount is needed/.test(missing.notes)], [2, true]);
    const before = (await chain.account((await openSigner('//dev:1')).address)).nonce;
    const tooMuch = await type(stake, { ...of, amount: '5000' }, { action: 'add' });
    assert.equal(tooMuch.code, 1);
    assert.match(tooMuch.notes, /not sent.*MaxStakeReached/);
    assert.equal((await chain.account((await openSigner('//dev:1')).address)).nonce, before);
    const added = await type(stake, { ...of, amount: '5.5' }, { action: 'add' });
    assert.equal(done(added).stake, (TENSOR * 1155n) / 10n);
    assert.match(added.text, /5\.5 TENSOR added/);
  });

  it('removes what is above the minimum, says when it can be claimed, and claims it', async () => {
    const nobody = await type(stake, { coldkey: '//dev:2', 'subnet-node-id': 1 }, { action: 'remove' });
    assert.deepEqual([nobody.code, /has no stake/.test(nobody.notes)], [2, true]);
    const ran = await type(stake, { coldkey: '//dev:1', hotkey: hotkeys[0]?.address }, { action: 'remove' });
    const removed = done(ran);
    assert.equal(removed.amount, (TENSOR * 155n) / 10n);
    assert.match(ran.notes, new RegExp(`from block ${removed.claimBlock} on: tessera stake claim`));
    const early = await type(stake, { coldkey: '//dev:1' }, { action: 'claim' });
    assert.match(early.notes, /NoStakeUnbondingsOrCooldownNotMet/);
    const waiting = await type(balance, { coldkey: '//dev:1' });
    assert.match(waiting.text, /cooling +15\.5 TENSOR/);
    await runTo(Number(removed.claimBlock));
    const ripe = await type(balance, {}, { text: (await openSigner('//dev:1')).address });
    assert.match(ripe.notes, /stake claim pays 15\.5 TENSOR now/);
    assert.equal(done(await type(stake, { coldkey: '//dev:1' }, { action: 'claim' })).amount, (TENSOR * 155n) / 10n);
  });

  it('delegates, hands on a part, and takes back the rest', async () => {
    const from = { coldkey: '//dev:3' };
    done(await type(delegate, { ...from, amount: '10' }, { action: 'add' }));
    const wrong = await type(delegate, { ...from, amount: '1', to: '0x12' }, { action: 'transfer' });
    assert.deepEqual([wrong.code, /not an address/.test(wrong.notes)], [2, true]);
    done(await type(delegate, { ...from, amount: '4', to: '//dev:4' }, { action: 'transfer' }));
    const other = done(await type(balance, { coldkey: '//dev:4' }));
    assert.ok(
      typeof other.delegated === 'bigint' && other.delegated >= 4n * TENSOR - 10n && other.delegated < 5n * TENSOR,
    );
    done(await type(delegate, from, { action: 'remove' }));
    const none = await type(delegate, from, { action: 'remove' });
    assert.deepEqual([none.code, /delegates nothing/.test(none.notes)], [2, true]);
  });

  it('tells how epochs ended, what was paid, and why a reward is zero', async () => {
    const live = await chain.subnet(SUBNET);
    const epoch = Math.max(live?.startEpoch ?? 0, Math.floor((devChain.head().number - SLOT) / EPOCH_LENGTH)) + 2;
    await runTo(epoch * EPOCH_LENGTH + SLOT);
    const elected = await chain.electedValidator(SUBNET, epoch as Epoch);
    const proposer = hotkeys[Number(elected) - 1];
    const other = hotkeys[2 - Number(elected)];
    const silent = elected === 1 ? 2 : 1;
    assert.ok(proposer !== undefined && other !== undefined);
    const data = { args: new Uint8Array(), attestData: new Uint8Array(32) };
    const both = [1, 2].map((id) => ({ nodeId: id as NodeId, score: TENSOR }));
    await chain.propose(proposer, { subnet: SUBNET, epoch: epoch as Epoch, scores: both, ...data });
    await chain.attest(other, SUBNET, epoch as Epoch, new Uint8Array(32));
    await runTo((epoch + 1) * EPOCH_LENGTH + SLOT);
    const next = await chain.electedValidator(SUBNET, (epoch + 1) as Epoch);
    const alone = hotkeys[Number(next) - 1];
    assert.ok(alone !== undefined);
    await chain.propose(alone, { subnet: SUBNET, epoch: (epoch + 1) as Epoch, scores: both, ...data });
    await runTo((epoch + 2) * EPOCH_LENGTH + SLOT);

    const own = { subnet: SUBNET, node: silent };
    keepOutcome(join(folder, 'n1'), own, {
      type: 'missed',
      epoch: (epoch - 1) as Epoch,
      duty: 'work',
      why: 'late-start',
    });
    const good = await type(scores, { epoch });
    const rewards = done(good).rewards as { node: number; paid: bigint; expected: bigint; reason: string }[];
    assert.deepEqual(
      rewards.map(({ reason }) => reason),
      ['paid', 'paid'],
    );
    for (const { node, paid, expected } of rewards) {
      const bonus = node === elected ? paid - expected : 0n;
      assert.ok(paid > 0n && expected > 0n && bonus >= 0n, good.text);
      if (node !== elected) assert.ok(expected - paid < paid / 1000n, good.text);
    }
    assert.match(good.text, /with the proposer's bonus/);
    assert.match(good.text, /this node in epoch \d+: missed work: the node was started after/);
    const bad = await type(scores, { epoch: epoch + 1 });
    assert.match(bad.text, /Rejected.*\n.*fewer than 66 % attested/);
    const listed = await type(epochs, { last: 4 });
    assert.match(listed.text, new RegExp(`${epoch} +Accepted +node ${elected} +2 of 2 +100\\.00 %`));
    assert.match(listed.text, new RegExp(`${epoch + 1} +Rejected +node ${next} +1 of 2`));
    const shown = await type(status);
    assert.match(shown.text, new RegExp(`this node \\(${silent}\\)`));
  });

  it('changes the address of a node, its client, and takes the client away again', async () => {
    const key = { hotkey: '//dev:6' };
    const moved = await type(updatePeer, { ...key, 'announce-maddrs': ['/ip4/127.0.0.1/tcp/31555'] });
    assert.match(String(done(moved).multiaddr), /31555\/p2p\/12D3/);
    done(await type(updatePeer, { ...key, 'peer-role': 'client' }));
    assert.ok((await chain.node(SUBNET, 1 as NodeId))?.clientInfo !== undefined);
    done(await type(updatePeer, { coldkey: '//dev:1', 'subnet-node-id': 1, 'peer-role': 'client', clear: true }));
    assert.equal((await chain.node(SUBNET, 1 as NodeId))?.clientInfo, undefined);
    assert.equal((await type(updatePeer, { ...key, clear: true })).code, 2);
  });

  it('changes policy and boot nodes', async () => {
    assert.equal((await type(updateSubnet, { coldkey: '//dev:0' })).code, 2, 'nothing to change');
    done(await type(updateSubnet, { coldkey: '//dev:0', access: 'open' }));
    const decoded = decodePolicy((await chain.subnet(SUBNET))?.misc ?? new Uint8Array());
    assert.ok(decoded.ok && decoded.policy.access === 'open');
    assert.ok(decoded.ok && decoded.policy.hosterShare === (TENSOR * 8n) / 10n, 'the rest stays');
    const [peer] = [...((await chain.subnet(SUBNET))?.bootnodes.keys() ?? [])];
    const address = `/ip4/127.0.0.1/tcp/31777/p2p/${peer}`;
    done(await type(updateSubnet, { coldkey: '//dev:0', bootnode: [address] }));
    assert.deepEqual([...((await chain.subnet(SUBNET))?.bootnodes.values() ?? [])], [address]);
    const unknown = await type(updateSubnet, { coldkey: '//dev:0', 'remove-bootnode': ['12D3KooWx'] });
    assert.deepEqual([unknown.code, /not a boot node/.test(unknown.notes)], [2, true]);
    assert.match((await type(updateSubnet, { coldkey: '//dev:1', access: 'open' })).notes, /NotSubnetOwner/);
  });

  it('gives a node another hotkey, sends it money, and tells the node that is started with the old one', async () => {
    const [owner, old, next] = await Promise.all([1, 6, 8].map((n) => openSigner(`//dev:${n}`)));
    assert.ok(owner !== undefined && old !== undefined && next !== undefined);
    const of = { coldkey: '//dev:1', 'subnet-node-id': 1 };
    const nameless = await type(updateHotkey, of);
    assert.deepEqual([nameless.code, /--new-hotkey is needed/.test(nameless.notes)], [2, true]);
    const same = await type(updateHotkey, { ...of, 'new-hotkey': old.address });
    assert.deepEqual([same.code, /is the hotkey already/.test(same.notes)], [2, true]);
    const mixed = await type(updateHotkey, { ...of, hotkey: next.address, 'new-hotkey': owner.address });
    assert.deepEqual([mixed.code, /node 1 has the hotkey/.test(mixed.notes)], [2, true]);
    const { nonce } = await chain.account(owner.address);
    const taken = await type(updateHotkey, { ...of, 'new-hotkey': '//dev:7' });
    assert.match(taken.notes, /not sent.*HotkeyHasOwner/);
    assert.equal((await chain.account(owner.address)).nonce, nonce);

    const fresh = (await openSigner('//dev:30')).address;
    const first = await type(updateHotkey, { ...of, 'new-hotkey': fresh, 'fund-hotkey': '0.01' });
    assert.deepEqual([done(first).node, done(first).before], [1, old.address]);
    assert.match(first.notes, /was sent 0\.01 TENSOR/);
    assert.match(first.notes, /stop the node and start it with the new one: tessera run --hotkey 0x/);
    assert.equal((await chain.account(fresh)).free, TENSOR / 100n);
    assert.equal((await chain.node(SUBNET, 1 as NodeId))?.hotkey, fresh);

    const checked = await type(doctor, { hotkey: '//dev:6' });
    const registration = checked.results.find(({ check }) => check === 'registration');
    assert.match(String(registration?.says), new RegExp(`peer of this machine is node 1, with the hotkey ${fresh}`));
    const started = await type(run, { hotkey: '//dev:6' });
    assert.equal(started.code, 4, started.notes);
    assert.match(started.notes, new RegExp(`as node 1, whose hotkey is ${fresh}; name that key with --hotkey`));
    done(await type(updateHotkey, { coldkey: '//dev:1', hotkey: fresh, 'new-hotkey': '//dev:6' }));
    assert.equal((await chain.node(SUBNET, 1 as NodeId))?.hotkey, old.address);
  });

  it('hands a node to another coldkey, but to none that nobody knows', async () => {
    const of = { coldkey: '//dev:1', 'subnet-node-id': 1 };
    const stranger = `0x${'5a'.repeat(20)}`;
    const refused = await type(updateColdkey, { ...of, 'new-coldkey': stranger });
    assert.deepEqual([refused.code, /never seen account 0x5a/.test(refused.notes)], [2, true]);
    const heir = await openSigner('//dev:4');
    const handed = await type(updateColdkey, { ...of, 'new-coldkey': heir.address });
    assert.deepEqual([done(handed).node, done(handed).coldkey], [1, heir.address]);
    assert.equal((await chain.node(SUBNET, 1 as NodeId))?.coldkey, heir.address);
    const gone = await type(stake, { ...of, amount: '1' }, { action: 'add' });
    assert.match(gone.notes, /NotKeyOwner/);
    done(await type(updateColdkey, { ...of, coldkey: '//dev:4', 'new-coldkey': '//dev:1' }));
  });

  it('takes out a node that was never activated, for anybody, and its owner gets the stake back', async () => {
    const nothing = await type(cleanExpired, { hotkey: '//dev:7' });
    assert.deepEqual([nothing.code, /not sent.*NoExpiredNodes/.test(nothing.notes)], [1, true]);
    const own = { 'data-dir': join(folder, 'n3'), hotkey: '//dev:9' };
    done(await type(keygen, own));
    const registered = done(await type(registerSubnetNode, { ...own, coldkey: '//dev:3', stake: '100' }));
    const late = (Number(registered.graceEnd) + 1) * EPOCH_LENGTH + SLOT;
    await runTo(late);
    const missed = await type(activate, own);
    assert.match(missed.notes, /ActivationGracePassed.*tessera clean-expired/);
    const cleaned = await type(cleanExpired, { hotkey: '//dev:7' });
    const owner = (await openSigner('//dev:3')).address;
    assert.deepEqual([done(cleaned).node, done(cleaned).coldkey], [registered.node, owner]);
    assert.match(cleaned.text, /100\.?0* TENSOR cool down/);
    assert.match(cleaned.notes, new RegExp(owner));
    await runTo(devChain.head().number + EPOCH_LENGTH);
    done(await type(stake, { coldkey: '//dev:3' }, { action: 'claim' }));
  });

  it('lets a node leave with all its stake', async () => {
    const epoch = Math.floor((devChain.head().number - SLOT) / EPOCH_LENGTH);
    const elected = await chain.electedValidator(SUBNET, epoch as Epoch);
    const leaving = elected === 1 ? 2 : 1;
    const gone = await type(removeNode, { coldkey: '//dev:1', 'subnet-node-id': leaving });
    const hotkey = String(done(gone).hotkey);
    assert.match(gone.notes, new RegExp(`stake remove .*${hotkey}`));
    const taken = done(await type(stake, { coldkey: '//dev:1', hotkey }, { action: 'remove' }));
    assert.equal(taken.amount, done(gone).stake);
    const again = await type(removeNode, { coldkey: '//dev:1', 'subnet-node-id': leaving });
    assert.equal(again.code, 4);
  });
});
