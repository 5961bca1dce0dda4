// Puts a graph together node by node; names of inner values are counted, so the same calls give the same graph.

import type { ExternalData, OnnxAttribute, OnnxModel, OnnxNode, OnnxTensor, OnnxType, OnnxValue } from './onnx.ts';

interface NodeOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly domain?: string;
  /** Names of the outputs; one counted name unless given. */
  readonly outputs?: readonly string[];
}

export interface GraphBuilder {
  input(name: string, type: OnnxType, dims: readonly (number | string)[]): string;
  output(name: string, type: OnnxValue['type'], dims: readonly (number | string)[]): void;
  /** An initializer; the second one of a name is the first one. */
  constant(name: string, type: OnnxType, dims: readonly number[], data: Uint8Array | ExternalData): string;
  /** Adds a node and answers the name of its first output. */
  node(op: string, inputs: readonly string[], options?: NodeOptions): string;
  finish(opsets: Readonly<Record<string, number>>): OnnxModel;
}

/** The ONNX IR version of opset 23 that onnxruntime 1.30 and onnx.checker accept (engine.md 7). */
const IR_VERSION = 10;

export function createGraphBuilder(name: string): GraphBuilder {
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxTensor>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  return {
    input(inputName, type, dims) {
      inputs.push({ name: inputName, type, dims });
      return inputName;
    },
    output(outputName, type, dims) {
      outputs.push({ name: outputName, type, dims });
    },
    constant(tensorName, type, dims, data) {
      if (!initializers.has(tensorName)) initializers.set(tensorName, { name: tensorName, type, dims, data });
      return tensorName;
    },
    node(op, nodeInputs, { attributes = {}, domain = '', outputs: named } = {}) {
      const count = nodes.length;
      const nodeOutputs = named ?? [`${op.toLowerCase()}.${count}`];
      nodes.push({ op, domain, name: `${op}.${count}`, inputs: nodeInputs, outputs: nodeOutputs, attributes });
      return nodeOutputs[0] ?? '';
    },
    finish: (opsets) => ({
      irVersion: IR_VERSION,
      producer: 'tessera',
      opsets,
      name,
      nodes,
      initializers: [...initializers.values()],
      inputs,
      outputs,
    }),
  };
}
