import assert from 'node:assert/strict';
import { describeError, exitCodeOf, UsageError } from '../../../src/cli/exit.ts';
import { formatShare, formatTensor, table } from '../../../src/cli/io.ts';
import { CodedError } from '../../../src/util/errors.ts';

const ONE = 10n ** 18n;

describe('command line: words', () => {
  it('amounts are cut, never rounded up', () => {
    const shown = [0n, 1n, ONE, 100n * ONE + ONE / 2n, 2n * ONE - 1n].map((planck) => formatTensor(planck));
    assert.deepEqual(shown, ['0', '0', '1', '100.5', '1.9999']);
    assert.equal(formatTensor(1n, 18), '0.000000000000000001');
  });

  it('shares are per cent', () => {
    assert.equal(formatShare(ONE / 4n), '25.00 %');
    assert.equal(formatShare(0n), '0.00 %');
  });

  it('columns are as wide as their widest cell', () => {
    const rows = [
      ['node', 'class'],
      ['1', 'Validator'],
    ];
    assert.equal(table(rows), 'node  class\n1     Validator');
  });
});

describe('command line: exit codes', () => {
  const cases: [unknown, number][] = [
    [new UsageError('wrong'), 2],
    [new CodedError({ code: 'CHAIN_UNREACHABLE' }, 'gone'), 3],
    [new CodedError({ code: 'NOT_ACTIVE' }, 'early'), 4],
    [new CodedError({ code: 'SIGNED_ALREADY' }, 'twice'), 5],
    [new CodedError({ code: 'MODEL_HASH' }, 'other'), 6],
    [new CodedError({ code: 'KEY_FILE_READABLE' }, 'open'), 78],
    [new CodedError({ code: 'LISTEN_FAILED' }, 'taken'), 1],
    [new Error('any'), 1],
    ['thrown text', 1],
  ];
  it('errors of the system come with what to do', () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    assert.match(describeError(full), /^tessera: ENOSPC: .* write; the disk is full: make room.* \[ENOSPC\]$/);
    assert.equal(describeError(new CodedError({ code: 'ENOENT' }, 'ours')), 'tessera: ours [ENOENT]');
  });
  for (const [error, code] of cases) {
    it(`${describeError(error)} ends with ${code}`, () => assert.equal(exitCodeOf(error), code));
  }
});
