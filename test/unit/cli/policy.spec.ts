import assert from 'node:assert/strict';
import { parsePolicy } from '../../../src/cli/policy.ts';
import { errorCode } from '../../../src/util/errors.ts';

describe('policy files', () => {
  it('reads parts of 1 without rounding, and leaves out what is not said', () => {
    const text = 'hoster-share: 0.333333333333333333\nattestor-share: 1\nchallenge-tokens: 8\n';
    assert.deepEqual(parsePolicy(text, 'p.yaml'), {
      hosterShare: 333_333_333_333_333_333n,
      attestorShare: 10n ** 18n,
      challengeTokens: 8,
    });
    assert.deepEqual(parsePolicy('', 'p.yaml'), {});
  });

  it('names what is wrong', () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['hoster-share: 1.5', /hoster-share.*part of 1/],
      ['hoster-share: -0.5', /hoster-share/],
      ['audit-rate: 0.0000000000000000001', /audit-rate/],
      ['challenge-tokens: 0', /challenge-tokens/],
      ['access: nobody', /access/],
      ['hosters: 1', /hosters/],
    ];
    for (const [text, words] of wrong) {
      assert.throws(
        () => parsePolicy(text, 'p.yaml'),
        (error) => errorCode(error) === 'USAGE' && words.test(String(error)),
        text,
      );
    }
  });
});
