import { strict as assert } from 'node:assert';
import { llamaShard, PORT } from '../../../src/graph/llama.ts';
import type { OnnxModel } from '../../../src/graph/onnx.ts';
import { layoutWeights, llamaWeights } from '../../../src/graph/weights.ts';
import { llama } from './shape.ts';

function build(from: number, to: number, profile: 'serve' | 'det' = 'serve', tie = true): OnnxModel {
  return llamaShard({
    ...llama({ tie }),
    format: 'f16',
    from,
    to,
    profile,
    probe: [3, 50],
    places: layoutWeights(llamaWeights(llama({ tie }), 'f16')),
  });
}

function names(values: readonly { readonly name: string }[]): string[] {
  return values.map((value) => value.name);
}

describe('graph/llama', () => {
  it('the first shard takes ids and gives hidden rows', () => {
    const { inputs, outputs } = build(0, 1);
    assert.deepEqual(names(inputs), ['input_ids', 'seqlens_k', 'total_sequence_length', 'past_key.0', 'past_value.0']);
    assert.deepEqual(names(outputs), ['quiet', 'present_key.0', 'present_value.0', 'hidden_out']);
  });

  it('the last shard takes hidden rows and gives candidates, its deterministic graph probe columns', () => {
    assert.equal(build(1, 2).inputs[0]?.name, PORT.hiddenIn);
    assert.deepEqual(names(build(1, 2).outputs).slice(3), [PORT.topValues, PORT.topIds, PORT.logSumExp]);
    const det = build(1, 2, 'det').outputs.slice(3);
    assert.deepEqual(det, [{ name: PORT.probe, type: 'f32', dims: ['B', 'S', 2] }]);
  });

  it('inside the model both profiles are one graph', () => {
    assert.deepEqual({ ...build(0, 1, 'det'), name: '' }, { ...build(0, 1), name: '' });
  });

  it('names every weight outside of the graph, and only those of its blocks', () => {
    for (const tie of [true, false]) {
      const { initializers } = build(1, 2, 'serve', tie);
      const outside = initializers.filter(({ data }) => !(data instanceof Uint8Array)).map(({ name }) => name);
      const block = ['attn_norm', 'qkv', 'out', 'ffn_norm', 'gate', 'up', 'down'].map((part) => `block.1.${part}`);
      assert.deepEqual(
        outside.toSorted(),
        [...block, 'norm', tie ? 'embed' : 'head', 'rope.cos', 'rope.sin'].toSorted(),
      );
    }
  });

  it('uses every value before it ends, and none before it is made', () => {
    for (const model of [build(0, 2), build(0, 1), build(1, 2, 'det', false)]) {
      const made = new Set([...names(model.inputs), ...names(model.initializers)]);
      for (const node of model.nodes) {
        for (const input of node.inputs) assert.ok(input === '' || made.has(input), `${node.name} uses ${input}`);
        for (const output of node.outputs) made.add(output);
      }
      for (const { name } of model.outputs) assert.ok(made.has(name), name);
    }
  });
});
