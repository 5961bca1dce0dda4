// The committed record of four validators of chain/node, checked as `npm run chain:transcript -- --verify` does: and that a forged one fails.

import assert from 'node:assert/strict';
import { checkTranscript, readTranscript, type TranscriptLine } from '../../scripts/chain/transcript-check.ts';
import type { Hex } from '../../src/devchain/hex.ts';

/** One hex digit changed; counted from the end where negative. */
function flip(text: Hex, at: number): Hex {
  const index = at < 0 ? text.length + at : at;
  const digit = (Number.parseInt(text[index] ?? '0', 16) ^ 1).toString(16);
  return `${text.slice(0, index)}${digit}${text.slice(index + 1)}` as Hex;
}

describe('transcript of a network of validators', function () {
  this.timeout(120_000);
  let lines: readonly TranscriptLine[];
  /** Its beginning, with the first finality proof. */
  let start: readonly TranscriptLine[];

  before(() => {
    lines = readTranscript();
    const headers = lines.filter((line) => 'header' in line).slice(0, 20);
    const proof = lines.find((line) => 'proof' in line && line.block <= 20);
    assert.ok(proof);
    start = [...lines.filter((line) => 'network' in line || 'wasm' in line), ...headers, proof];
  });

  it('holds: headers, seals, finality after each restart', async () => {
    const { blocks, sealed, proofs } = await checkTranscript(lines);
    assert.ok(blocks > 1024, String(blocks));
    assert.equal(
      sealed.reduce((sum, count) => sum + count, 0),
      blocks,
    );
    assert.ok(
      sealed.every((count) => count > blocks / 8),
      sealed.join(),
    );
    const restarts = lines.filter((line) => 'did' in line && /again$/.test(line.did));
    assert.equal(restarts.length, 2);
    for (const restart of restarts) {
      const at = 'best' in restart ? restart.best : 0;
      assert.ok(
        proofs.some(({ block, votes }) => block > at && block <= at + 520 && votes >= 3),
        `after block ${at}`,
      );
    }
    assert.ok(lines.some((line) => 'did' in line && /suite.* \d+ passing, 0 failing/.test(line.did)));
  });

  it('is checked from its beginning', async () => {
    assert.equal((await checkTranscript(start)).blocks, 20);
  });

  const forgeries: readonly (readonly [string, (line: TranscriptLine, index: number) => readonly TranscriptLine[]])[] =
    [
      ['another seal', (line, i) => ['header' in line && i === 10 ? { ...line, header: flip(line.header, -3) } : line]],
      [
        'another state root',
        (line, i) => ['header' in line && i === 10 ? { ...line, header: flip(line.header, 80) } : line],
      ],
      [
        'another slot',
        (line, i) => ['header' in line && i === 21 ? { ...line, header: flip(line.header, 216) } : line],
      ],
      ['a block left out', (line, i) => (i === 10 ? [] : [line])],
      ['another genesis', (line) => ['wasm' in line ? { ...line, genesis: flip(line.genesis, 9) } : line]],
      ['other transactions', (line, i) => ['header' in line && i === 10 ? { ...line, extrinsics: [] } : line]],
      [
        'a proof with another signature',
        (line) => ['proof' in line ? { ...line, proof: flip(line.proof, 200) } : line],
      ],
      ['a proof of another round', (line) => ['proof' in line ? { ...line, proof: flip(line.proof, 3) } : line]],
      ['a proof of another block', (line) => ['proof' in line ? { ...line, block: line.block + 1 } : line]],
    ];
  for (const [name, forge] of forgeries) {
    it(`is refused with ${name}`, async () => {
      const forged = start.flatMap(forge);
      assert.notDeepEqual(forged, start);
      await assert.rejects(checkTranscript(forged));
    });
  }

  it('is refused when too few voted', async () => {
    const forged = start.map((line) => {
      if (!('proof' in line)) return line;
      // round, target, then the number of votes (compact) and 132 bytes each.
      const head = 2 + 2 * (8 + 36);
      const votes = Number.parseInt(line.proof.slice(head, head + 2), 16) >> 2;
      const kept = line.proof.slice(head + 2, head + 2 + 2 * 132 * 2);
      const rest = line.proof.slice(head + 2 + 2 * 132 * votes);
      return { ...line, proof: `${line.proof.slice(0, head)}08${kept}${rest}` as Hex };
    });
    await assert.rejects(checkTranscript(forged), /2 votes, 3 are needed/);
  });
});
