import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { GraphError } from '../../../src/graph/errors.ts';
import { createProtoWriter, readProtoFields } from '../../../src/graph/protobuf.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';

describe('graph/protobuf', () => {
  // The examples of protobuf.dev/programming-guides/encoding.
  it('writes the bytes of the format description', () => {
    assert.equal(toHex(createProtoWriter().int(1, 150).finish()), '089601');
    assert.equal(toHex(createProtoWriter().text(2, 'testing').finish()), '120774657374696e67');
    assert.equal(toHex(createProtoWriter().message(3, createProtoWriter().int(1, 150)).finish()), '1a03089601');
    assert.equal(toHex(createProtoWriter().int(1, -2).finish()), '08feffffffffffffffff01');
    assert.equal(toHex(createProtoWriter().float(5, 1.5).finish()), '2d0000c03f');
  });

  it('reads what it wrote', () => {
    const field = fc.integer({ min: 1, max: 2 ** 29 - 1 });
    const ints = fc.tuple(field, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
    const texts = fc.tuple(field, fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(fc.array(ints), fc.array(texts), (numbers, strings) => {
        const writer = createProtoWriter();
        for (const [number, value] of numbers) writer.int(number, value);
        for (const [number, value] of strings) writer.bytes(number, value);
        const expected = [
          ...numbers.map(([number, value]) => ({ field: number, kind: 'int', value })),
          ...strings.map(([number, value]) => ({ field: number, kind: 'bytes', value })),
        ];
        assert.deepEqual(readProtoFields(writer.finish()), expected);
      }),
    );
  });

  for (const [what, hex] of [
    ['a length past the end', '12ff01'],
    ['a huge length', '12ffffffffffffffffff01'],
    ['a cut varint', '0880'],
    ['an endless varint', '08ffffffffffffffffffff01'],
    ['a group', '0b0c'],
    ['a 64-bit value', '090000000000000000'],
    ['field 0', '0001'],
    ['a cut float', '2d0000c0'],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => readProtoFields(fromHex(hex)), GraphError);
    });
});
