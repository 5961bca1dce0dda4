import assert from 'node:assert/strict';
import { extrinsicFailed, extrinsicRejected, HYPERTENSOR_ERRORS, NETWORK_ERRORS } from '../../../src/chain/errors.ts';
import type { Retry } from '../../../src/chain/types.ts';

const WHO = '0xf24ff3a9cf04c71dbc94d0b566f7a27b94566cac';

describe('words for errors', () => {
  it('says what the pool means, and whose balance is missing', () => {
    const cases: readonly (readonly [string, string, Retry])[] = [
      ['Invalid Transaction: Inability to pay some fees (e.g. account balance too low)', 'Payment', 'afterAction'],
      ['Invalid Transaction: Transaction has a bad signature', 'BadProof', 'never'],
      ['Invalid Transaction: Transaction is outdated', 'Stale', 'now'],
      ['Invalid Transaction: Transaction has an ancient birth block', 'AncientBirthBlock', 'now'],
      ['Invalid Transaction: Transaction would exhaust the block limits', 'ExhaustsResources', 'nextBlock'],
      ['Invalid Transaction: Transaction call is not expected', 'Call', 'never'],
      ['Transaction is temporarily banned', 'Banned', 'nextBlock'],
      ['Transaction Already Imported', 'AlreadyImported', 'now'],
      ['Priority is too low: (1 vs 2)', 'PriorityTooLow', 'nextBlock'],
      ["Immediately Dropped: The transaction couldn't enter the pool because of the limit", 'PoolFull', 'nextBlock'],
    ];
    for (const [said, reason, retry] of cases) {
      const { facts, message } = extrinsicRejected('attest', WHO, said);
      assert.deepEqual(facts, { code: 'EXTRINSIC_REJECTED', call: 'attest', reason, retry });
      assert.ok(message.startsWith('attest was refused'), message);
    }
    assert.ok(extrinsicRejected('attest', WHO, cases[0]?.[0] ?? '').message.includes(WHO));
    assert.match(extrinsicRejected('attest', WHO, 'something new').message, /something new/);
  });

  it('knows what to do about an error of the pallet, and admits it when it does not', () => {
    const known = extrinsicFailed('activate_subnet_node', 'Network', 'NotStartEpoch');
    assert.equal('retry' in known.facts && known.facts.retry, 'nextEpoch');
    assert.match(known.message, /^activate_subnet_node failed with Network\.NotStartEpoch: too early/);
    const unknown = extrinsicFailed('x', 'Network', 'BrandNew');
    assert.match(unknown.message, /x failed with Network\.BrandNew: the chain gives no reason that this program knows/);
    assert.match(extrinsicFailed('x', '', 'BadOrigin').message, /x failed with BadOrigin: this account may not/);
  });

  it('gives advice in whole sentences', () => {
    const all = [...Object.entries(NETWORK_ERRORS), ...Object.entries(HYPERTENSOR_ERRORS)];
    for (const [name, { says }] of all) assert.ok(says.split(' ').length >= 6, name);
  });

  it('knows what only the other runtime says', () => {
    const known = extrinsicFailed('register_subnet_node', 'Network', 'MultiaddrExist');
    assert.match(known.message, /another node of the subnet has this address/);
    assert.deepEqual(
      Object.keys(HYPERTENSOR_ERRORS).filter((name) => name in NETWORK_ERRORS),
      [],
      'one sentence for each',
    );
  });
});
