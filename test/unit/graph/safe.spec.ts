import { strict as assert } from 'node:assert';
import { llamaShard } from '../../../src/graph/llama.ts';
import type { OnnxModel, OnnxTensor } from '../../../src/graph/onnx.ts';
import { brokenRule } from '../../../src/graph/safe.ts';
import { layoutWeights, llamaWeights } from '../../../src/graph/weights.ts';
import { llama } from './shape.ts';

const places = layoutWeights(llamaWeights(llama(), 'f16'));
const good = llamaShard({ ...llama(), format: 'f16', from: 0, to: 2, profile: 'serve', probe: [], places });
const weights = sizes(places);

/** Bytes of each weight file. */
function sizes(where: typeof places): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { location, offset, length } of where.values())
    bytes.set(location, Math.max(bytes.get(location) ?? 0, offset + length));
  return bytes;
}

function withNode(op: string, domain = ''): OnnxModel {
  return { ...good, nodes: [...good.nodes, { op, domain, name: 'x', inputs: [], outputs: ['x'], attributes: {} }] };
}

function withTensor(change: Partial<OnnxTensor>): OnnxModel {
  const tensor: OnnxTensor = {
    name: 'mine',
    type: 'f16',
    dims: [2],
    data: { location: 'end.f16', offset: 0, length: 4 },
    ...change,
  };
  return { ...good, initializers: [...good.initializers, tensor] };
}

describe('graph/safe', () => {
  it('takes what our builder makes', () => {
    assert.equal(brokenRule(good, weights), undefined);
    const untied = layoutWeights(llamaWeights(llama({ tie: false }), 'f16'));
    const det = llamaShard({
      ...llama({ tie: false }),
      format: 'f16',
      from: 1,
      to: 2,
      profile: 'det',
      probe: [1],
      places: untied,
    });
    assert.equal(brokenRule(det, sizes(untied)), undefined);
    assert.equal(brokenRule(withTensor({}), weights), undefined);
  });

  const outside = (location: string, offset = 0, length = 4) => withTensor({ data: { location, offset, length } });
  const cases: readonly (readonly [string, OnnxModel, RegExp])[] = [
    ['a loop', withNode('Loop'), /operator Loop/],
    ['a branch', withNode('If'), /operator If/],
    ['an operator of another domain', withNode('Add', 'evil'), /operator evil.Add/],
    ['an operator named like an object key', withNode('toString', 'constructor'), /operator constructor.toString/],
    ['a domain of operators that it does not use', { ...good, opsets: { ...good.opsets, evil: 1 } }, /domain evil/],
    ['an old opset', { ...good, opsets: { '': 7 } }, /opset 7/],
    ['an IR of the future', { ...good, irVersion: 99 }, /IR version 99/],
    ['a parent folder', outside('../../etc/passwd'), /no weight file/],
    ['an absolute path', outside('/etc/passwd'), /no weight file/],
    ['a file of another shard', outside('other.f16'), /no weight file/],
    ['no file', outside(''), /no weight file/],
    ['data behind the end', outside('end.f16', (weights.get('end.f16') ?? 0) - 2), /ends behind/],
    ['a length that its dims do not have', outside('end.f16', 0, 8), /8 bytes, not 4/],
    ['inline data of another length', withTensor({ data: new Uint8Array(3) }), /3 bytes, not 4/],
    ['dims beyond counting', withTensor({ dims: [2 ** 30, 2 ** 30] }), /dims of mine/],
    ['negative dims', withTensor({ dims: [-1, -2] }), /dims of mine/],
    ['a name made twice', withTensor({ name: 'embed' }), /embed is made twice/],
  ];
  for (const [what, model, rule] of cases)
    it(`refuses ${what}`, () => {
      assert.match(brokenRule(model, weights) ?? '', rule);
    });
});
