// The weights of a graph under construction: named tensors in files beside it, as they are stored or as f32.

import type { GraphBuilder } from './builder.ts';
import { attribute, type ExternalData } from './onnx.ts';
import type { WeightSpec } from './weights.ts';

/** onnx.proto's numbers of FLOAT and FLOAT16, for Cast. */
export const TO_FLOAT = attribute.int(1);
export const TO_HALF = attribute.int(10);

export interface StoredTensors {
  /** A stored tensor as it is. */
  stored(name: string): string;
  /** A stored tensor as f32, cast once per graph; the runtime folds the casts when it loads the graph. */
  float(name: string): string;
  /** A stored tensor as f16, likewise. */
  half(name: string): string;
  /** A value that was picked out of the stored tensor `name`, as f32. */
  widen(name: string, value: string): string;
}

/** @param places where each tensor lies, by name */
export function createStoredTensors(
  graph: GraphBuilder,
  specs: readonly WeightSpec[],
  places: ReadonlyMap<string, ExternalData>,
): StoredTensors {
  const known = new Map(specs.map((spec) => [spec.name, spec]));
  const [floats, halves] = [new Map<string, string>(), new Map<string, string>()];
  const stored = (name: string): string => {
    const spec = known.get(name);
    const place = places.get(name);
    if (spec === undefined || place === undefined) throw new RangeError(`no such tensor: ${name}`);
    return graph.constant(name, spec.type, spec.dims, place);
  };
  const widen = (name: string, value: string): string =>
    known.get(name)?.type === 'f32' ? value : graph.node('Cast', [value], { attributes: { to: TO_FLOAT } });
  const float = (name: string): string => {
    const value = floats.get(name) ?? widen(name, stored(name));
    floats.set(name, value);
    return value;
  };
  const half = (name: string): string => {
    const own = stored(name);
    const value =
      halves.get(name) ??
      (known.get(name)?.type === 'f16' ? own : graph.node('Cast', [own], { attributes: { to: TO_HALF } }));
    halves.set(name, value);
    return value;
  };
  return { stored, float, half, widen };
}
