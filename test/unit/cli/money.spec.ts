import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sumHoldings } from '../../../src/cli/commands/balance.ts';
import { sharesFor } from '../../../src/cli/commands/delegate.ts';
import type { Address, BlockNumber, SubnetId } from '../../../src/types/ids.ts';

describe('money on the command line', () => {
  it('sells no more shares than there are, and enough for what was asked', () => {
    const amounts = fc.bigInt({ min: 1n, max: 10n ** 27n });
    fc.assert(
      fc.property(amounts, amounts, amounts, (shares, balance, amount) => {
        const sold = sharesFor({ shares, balance }, amount);
        assert.ok(sold > 0n && sold <= shares);
        if (amount <= balance && sold < shares) assert.ok((sold * balance) / shares >= amount);
      }),
    );
    assert.equal(sharesFor({ shares: 7n, balance: 9n }, undefined), 7n);
  });

  it('adds up what an account has, and what of it can be claimed now', () => {
    const subnet = 1 as SubnetId;
    const holdings = {
      stakes: [{ subnet, hotkey: '0x1' as Address, amount: 5n }],
      delegations: [{ subnet, shares: 1000n, balance: 7n }],
      unbondings: [
        { claimBlock: 10 as BlockNumber, amount: 1n },
        { claimBlock: 11 as BlockNumber, amount: 2n },
      ],
    };
    const sums = { free: 3n, staked: 5n, delegated: 7n, cooling: 3n };
    assert.deepEqual(sumHoldings({ free: 3n, nonce: 0 }, holdings, 10), { ...sums, claimable: 1n });
    assert.deepEqual(sumHoldings({ free: 3n, nonce: 0 }, holdings, 11), { ...sums, claimable: 3n });
  });
});
