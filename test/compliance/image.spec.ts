// An image model over two hops (scripts/examples/image.ts): the PNG is the one that a single engine draws, bit for bit.

import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';
import { drawImage } from '../../scripts/examples/image.ts';

describe('an image over two hops', function () {
  this.timeout(120_000);

  it('is the image that is drawn here, and another one for another seed', async () => {
    const one = await drawImage(1);
    assert.deepEqual(
      one.route.map(({ from, to }) => [from, to]),
      [
        [0, 1],
        [1, 2],
      ],
    );
    assert.equal(new Set(one.route.map(({ peer }) => peer)).size, 2);
    assert.deepEqual(one.overHops, one.here);
    const other = await drawImage(2);
    assert.deepEqual(other.overHops, other.here);
    assert.notDeepEqual(other.here, one.here);
  });

  it('has 64 rows of 64 points, of many colours', async () => {
    const { overHops } = await drawImage(3);
    const png = Buffer.from(overHops);
    const at = png.indexOf('IDAT');
    const rows = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
    assert.equal(rows.length, 64 * (1 + 3 * 64));
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [64, 64]);
    assert.ok(new Set(rows).size > 100, 'nearly one colour');
  });
});
