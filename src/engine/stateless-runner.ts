// One shard of a stateless model in the lane: named tensors in, named tensors out. Inputs have been checked on the main side.

import ort from 'onnxruntime-node';
import { ENCODER_PORT } from '../graph/encoder.ts';
import type { Port } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { loadSession } from './binding.ts';
import type { ShardFiles, StatelessPorts } from './lane-protocol.ts';
import { assertFinite } from './shard-runner.ts';
import { EngineError, type Rows } from './types.ts';

export interface StatelessRunner {
  readonly files: ShardFiles;
  readonly ports: StatelessPorts;
  run(tensors: ReadonlyMap<string, NamedTensor>): Promise<readonly NamedTensor[]>;
  /** The deterministic graph on one sequence, or on one sample per row: (rows, columns). */
  challenge(input: Rows, rows: number): Promise<Float32Array>;
  release(): Promise<void>;
}

export async function createStatelessRunner(
  files: ShardFiles,
  ports: StatelessPorts,
  threads: number,
): Promise<StatelessRunner> {
  const serve = await loadSession(files.serve, threads, 'fast', files.keep);
  /** Loaded for the first challenge: whoever only serves does without its memory. */
  let det: Promise<ort.InferenceSession> | undefined;
  const openDet = (): Promise<ort.InferenceSession> => {
    det ??= files.det === files.serve ? Promise.resolve(serve) : loadSession(files.det, threads, 'lean');
    return det;
  };
  const toNamed = (tensor: ort.Tensor, name: string): NamedTensor => {
    const { data, dims } = tensor;
    if (!(data instanceof Float32Array || data instanceof Int32Array || data instanceof BigInt64Array))
      throw new EngineError({ code: 'E_RUN', reason: tensor.type }, `${name} came out as ${tensor.type}`);
    if (data instanceof Float32Array) assertFinite(data, files.index);
    return { name, dims: [...dims], data };
  };
  return {
    files,
    ports,
    async run(tensors) {
      const feeds = Object.fromEntries(
        ports.inputs.map(({ name }) => {
          const tensor = tensors.get(name);
          if (tensor === undefined) throw new RangeError(`no tensor ${name}`);
          return [name, toOrt(tensor)];
        }),
      );
      const outputs = await serve.run(
        feeds,
        ports.outputs.map(({ name }) => name),
      );
      return ports.outputs.map(({ name }) => toNamed(outputs[name] as ort.Tensor, name));
    },
    async challenge(input, rows) {
      const session = await openDet();
      const feeds = Object.fromEntries(
        ports.inputs.map((port, i) => [port.name, toOrt(i === 0 ? asTensor(port, input, rows) : beside(port, rows))]),
      );
      const [name = ''] = session.outputNames;
      const output = (await session.run(feeds, [name]))[name];
      const { data } = toNamed(output as ort.Tensor, name);
      if (!(data instanceof Float32Array) || data.length !== rows * files.columns)
        throw new EngineError(
          { code: 'E_RUN', reason: 'odd output' },
          `${name} is not ${rows} rows of ${files.columns}`,
        );
      return data;
    },
    async release() {
      const second = await det?.catch(() => undefined);
      if (second !== undefined && second !== serve) await second.release();
      await serve.release();
    },
  };
}

/** Whose dims are one sequence of rows; otherwise every row is a sample of its own. */
function isSequence({ dims }: Port): boolean {
  return typeof dims[1] === 'string';
}

function asTensor(port: Port, input: Rows, rows: number): NamedTensor {
  const lead = isSequence(port) ? [1, rows] : [rows];
  const rest = port.dims.slice(lead.length).map(Number);
  const dims = [...lead, ...rest];
  if (input.kind === 'hidden') return { name: port.name, dims, data: input.data };
  return { name: port.name, dims, data: port.dtype === 'i64' ? BigInt64Array.from(input.ids, BigInt) : input.ids };
}

/** What a challenge does not say: nothing is padded, and all is one segment. */
function beside(port: Port, rows: number): NamedTensor {
  const data = new Int32Array(rows).fill(port.name === ENCODER_PORT.mask ? 1 : 0);
  return { name: port.name, dims: [1, rows], data };
}

function toOrt({ dims, data }: NamedTensor): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, dims);
  return data instanceof Int32Array ? new ort.Tensor('int32', data, dims) : new ort.Tensor('int64', data, dims);
}
