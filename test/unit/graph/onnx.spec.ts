import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { GraphError } from '../../../src/graph/errors.ts';
import { llamaShard } from '../../../src/graph/llama.ts';
import { decodeModel, encodeModel } from '../../../src/graph/onnx.ts';
import { createProtoWriter } from '../../../src/graph/protobuf.ts';
import { layoutWeights, llamaWeights } from '../../../src/graph/weights.ts';
import { concatBytes } from '../../../src/util/bytes.ts';
import { llama } from './shape.ts';

const PLACES = layoutWeights(llamaWeights(llama(), 'f16'));
const MODEL = llamaShard({ ...llama(), format: 'f16', from: 0, to: 2, profile: 'serve', probe: [], places: PLACES });
const BYTES = encodeModel(MODEL);

describe('graph/onnx', () => {
  it('reads what it wrote, and writes the same bytes again', () => {
    assert.deepEqual(decodeModel(BYTES), MODEL);
    assert.deepEqual(encodeModel(decodeModel(BYTES)), BYTES);
  });

  it('keeps inline data, floats, lists and sequences', () => {
    const model = {
      ...MODEL,
      inputs: [{ name: 'x', type: 'sequence' as const, dims: [] }],
      initializers: [{ name: 'w', type: 'f16' as const, dims: [2], data: Uint8Array.of(1, 2, 3, 4) }],
      nodes: [
        {
          op: 'Any',
          domain: 'd',
          name: 'n',
          inputs: ['', 'w'],
          outputs: ['y'],
          attributes: {
            a: { kind: 'float' as const, value: 0.5 },
            b: { kind: 'ints' as const, value: [1, -1, 0] },
            c: { kind: 'int' as const, value: -7 },
          },
        },
      ],
    };
    assert.deepEqual(decodeModel(encodeModel(model)), model);
  });

  for (const [what, extra] of [
    ['functions', createProtoWriter().bytes(25, new Uint8Array())],
    ['metadata', createProtoWriter().bytes(14, new Uint8Array())],
    ['a second graph', createProtoWriter().bytes(7, new Uint8Array())],
    ['a second version', createProtoWriter().int(1, 10)],
    ['an unknown field', createProtoWriter().int(99, 1)],
    ['a field of another kind', createProtoWriter().bytes(1, new Uint8Array())],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => decodeModel(concatBytes(BYTES, extra.finish())), GraphError);
    });

  it('refuses a sub-graph as an attribute, and a text that is not UTF-8', () => {
    const attribute = createProtoWriter().text(1, 'body').bytes(6, new Uint8Array()).int(20, 5);
    const inNode = (node: ReturnType<typeof createProtoWriter>) =>
      createProtoWriter().int(1, 10).message(7, createProtoWriter().message(1, node)).finish();
    assert.throws(() => decodeModel(inNode(createProtoWriter().text(4, 'If').message(5, attribute))), GraphError);
    assert.throws(() => decodeModel(inNode(createProtoWriter().bytes(4, Uint8Array.of(0xff)))), GraphError);
    decodeModel(inNode(createProtoWriter().text(4, 'Add')));
  });

  it('answers damaged bytes with a model or a GraphError, never anything else', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: BYTES.length - 1 }),
        fc.integer({ min: 0, max: 255 }),
        fc.boolean(),
        (at, byte, cut) => {
          const damaged = cut ? BYTES.slice(0, at) : BYTES.with(at, byte);
          try {
            decodeModel(damaged);
          } catch (error) {
            assert.ok(error instanceof GraphError, String(error));
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
