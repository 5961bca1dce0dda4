// Where a graph of other people can be cut: behind a node where a single tensor lives on, and no input of the graph (engine.md 2.2). Pure.

import type { ForeignGraph, ForeignNode, ForeignTensor } from './foreign.ts';

export interface CutPoint {
  /** Nodes before the cut. */
  readonly after: number;
  /** The one tensor that crosses it. */
  readonly border: string;
  /** Bytes of tensors that nodes before the cut read. */
  readonly bytes: number;
}

export function tensorBytesOf({ data }: ForeignTensor): number {
  return data.length;
}

/** All of them, in order. */
export function cutPoints(graph: ForeignGraph): CutPoint[] {
  const fixed = fixedValues(graph);
  const sizes = new Map(graph.tensors.map((tensor) => [tensor.name, tensorBytesOf(tensor)]));
  const lastUse = new Map<string, number>();
  for (const [i, { inputs }] of graph.nodes.entries()) for (const name of inputs) lastUse.set(name, i);
  for (const { name } of graph.outputs) lastUse.set(name, graph.nodes.length);
  const alive = new Set(graph.inputs.filter(({ name }) => lastUse.has(name)).map(({ name }) => name));
  const given = new Set(graph.inputs.map(({ name }) => name));
  const points: CutPoint[] = [];
  const seen = new Set<string>();
  let bytes = 0;
  for (const [i, { inputs, outputs }] of graph.nodes.entries()) {
    for (const name of inputs) {
      if (!seen.has(name)) bytes += sizes.get(name) ?? 0;
      seen.add(name);
      if (lastUse.get(name) === i) alive.delete(name);
    }
    for (const name of outputs) if (!fixed.has(name) && (lastUse.get(name) ?? -1) > i) alive.add(name);
    const [border] = alive;
    const isLast = i === graph.nodes.length - 1;
    if (!isLast && alive.size === 1 && border !== undefined && !given.has(border))
      points.push({ after: i + 1, border, bytes });
  }
  return points;
}

/** Points that share the bytes out best into `parts`, as far as there are any. */
export function chooseCuts(points: readonly CutPoint[], totalBytes: number, parts: number): CutPoint[] {
  const chosen: CutPoint[] = [];
  for (let part = 1; part < parts; part++) {
    const wanted = (totalBytes * part) / parts;
    const left = points.filter(({ after }) => after > (chosen.at(-1)?.after ?? 0));
    const best = left.reduce<CutPoint | undefined>(
      (nearest, point) =>
        nearest === undefined || Math.abs(point.bytes - wanted) < Math.abs(nearest.bytes - wanted) ? point : nearest,
      undefined,
    );
    if (best !== undefined) chosen.push(best);
  }
  return chosen;
}

export interface ForeignPart {
  readonly nodes: readonly ForeignNode[];
  readonly tensors: readonly ForeignTensor[];
}

/** Nodes [from, to) with the tensors that they read, and those nodes before them that depend on nothing. */
export function partOf(graph: ForeignGraph, from: number, to: number): ForeignPart {
  const fixed = fixedValues(graph);
  const own = graph.nodes.slice(from, to);
  const nodes = [...own];
  const made = new Set(own.flatMap(({ outputs }) => outputs));
  const needed = new Set(own.flatMap(({ inputs }) => inputs));
  for (const node of graph.nodes.slice(0, from).toReversed()) {
    if (!node.outputs.some((name) => needed.has(name) && fixed.has(name) && !made.has(name))) continue;
    nodes.unshift(node);
    for (const name of node.outputs) made.add(name);
    for (const name of node.inputs) needed.add(name);
  }
  return { nodes, tensors: graph.tensors.filter(({ name }) => needed.has(name)) };
}

/** What depends on no input: the same in every run. */
function fixedValues(graph: ForeignGraph): ReadonlySet<string> {
  const fixed = new Set(['', ...graph.tensors.map(({ name }) => name)]);
  for (const { inputs, outputs } of graph.nodes)
    if (inputs.every((name) => fixed.has(name))) for (const name of outputs) fixed.add(name);
  return fixed;
}
