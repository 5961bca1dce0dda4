// The serving graph of a decoder's shard for a device, made when it is loaded: the same weights, read as the published graph reads them.

import { isFloat } from '../graph/formats.ts';
import type { DeviceProfile } from '../graph/linear.ts';
import { llamaShard } from '../graph/llama.ts';
import { encodeModel, type OnnxModel } from '../graph/onnx.ts';
import type { LlamaManifest, ManifestShard } from '../types/model.ts';
import { errorMessage } from '../util/errors.ts';
import { EngineError } from './types.ts';

const PLAIN = { qkvBias: false, qkNorm: false, window: null };

/**
 * `published`: the shard's serving graph, checked.
 *
 * @throws EngineError E_UNSAFE when the manifest describes other weights than the graph has
 */
export function deviceGraph(
  manifest: LlamaManifest,
  shard: ManifestShard,
  published: OnnxModel,
  profile: DeviceProfile,
): Uint8Array {
  const { shape, tie, attention = PLAIN } = manifest;
  const { format, layers, from, to, probe } = shard;
  const known = new Map(published.initializers.map((tensor) => [tensor.name, tensor]));
  const places = new Map(
    published.initializers.flatMap(({ name, data }) => (data instanceof Uint8Array ? [] : [[name, data] as const])),
  );
  const build = () => {
    const traits = { tie, ...attention };
    return llamaShard({ shape, traits, format, layers, from, to, profile, probe, places });
  };
  let graph: OnnxModel;
  try {
    graph = build();
  } catch (error) {
    throw other(shard, errorMessage(error));
  }
  for (const { name, type, dims, data } of graph.initializers) {
    const own = known.get(name);
    const same = own?.type === type && own.dims.length === dims.length && own.dims.every((dim, i) => dim === dims[i]);
    if (!(data instanceof Uint8Array) && !same) throw other(shard, `${name} is not (${dims.join(', ')}) ${type}`);
  }
  return encodeModel(graph);
}

/**
 * How a device computes: as exactly as the CPU where auditors compute answers again, which half precision is too far from (docs/decisions/0008); else in
 * half precision, which takes half of the memory and time.
 */
export function deviceProfile(shards: readonly ManifestShard[]): DeviceProfile {
  return shards.some(({ auditable }) => auditable) ? 'single' : 'half';
}

/** At most what a device holds of a shard, which has no kernels for activations of 8 bits: such weights are widened to the profile's floats. */
export function deviceMemory(
  { format, layers = {}, memory }: ManifestShard,
  profile: DeviceProfile,
): ManifestShard['memory'] {
  const { weights, kvPerToken } = memory;
  const exact = isFloat(format) && Object.values(layers).every(isFloat);
  if (profile === 'single') return { weights: exact ? weights : 2 * weights, kvPerToken };
  return { weights: exact ? Math.ceil(weights / 2) : weights, kvPerToken: Math.ceil(kvPerToken / 2) };
}

function other({ graph }: ManifestShard, rule: string): EngineError {
  return new EngineError({ code: 'E_UNSAFE', file: graph, rule }, `${graph} is not loaded on a device: ${rule}`);
}
