import assert from 'node:assert/strict';
import { createProgress } from '../../../src/cli/progress.ts';

describe('progress', () => {
  function screen(isTerminal: boolean) {
    const clock = { ms: 0 };
    let text = '';
    const write = (part: string) => {
      text += part;
    };
    return { clock, deps: { write, isTerminal, now: () => clock.ms }, text: () => text };
  }

  it('is a plain line at every tenth where nobody watches', () => {
    const { clock, deps, text } = screen(false);
    const progress = createProgress({ label: 'model', unit: 'bytes', total: 20e6 }, deps);
    for (let done = 0; done <= 20; done++) {
      clock.ms = done * 500;
      progress.at(done * 1e6);
    }
    progress.end();
    const lines = text().trimEnd().split('\n');
    assert.equal(lines.length, 10);
    assert.equal(lines[0], 'model: 10 % (2.0 MB of 20.0 MB, 2.0 MB/s, 9 s left)');
    assert.equal(lines[9], 'model: 100 % (20.0 MB of 20.0 MB, 2.0 MB/s)');
  });

  it('is one line on a terminal, not written too often, and ended', () => {
    const { clock, deps, text } = screen(true);
    const progress = createProgress({ label: 'waiting', unit: 'blocks', total: 600 }, deps);
    progress.at(1);
    clock.ms = 100;
    progress.at(2);
    clock.ms = 1000;
    progress.at(3);
    progress.end();
    const shown = text().split('\r');
    assert.equal(shown.length, 3);
    assert.match(shown[2] ?? '', /waiting: 0 % \(3 of 600 blocks, 3 min left\)\n$/);
  });
});
