// Attention in single precision out of operators that every device has: for GPUs, whose fused one takes half precision only. The caches are those of the
// fused one, (B, kvHeads, P, headDim), and new rows are written where they lie; all P columns are multiplied, and what a query must not see is left out.

import type { GraphBuilder } from './builder.ts';
import type { createConstants } from './linear.ts';
import { attribute } from './onnx.ts';
import type { LlamaShape, LlamaTraits } from './weights.ts';

/** Names of the ports that say where rows stand. */
export const PLACE_PORT = {
  /** Of each row, i64 (B, S). */
  positions: 'positions',
  /** 0, 1, .. of the caches, i64 (P). */
  columns: 'columns',
  /** (sequence, head, position) of each new row of keys and values, i64 (B, kvHeads, S, 3). */
  cells: 'cells',
} as const;

export interface AttentionContext {
  readonly graph: GraphBuilder;
  readonly shape: LlamaShape;
  readonly traits: LlamaTraits;
  readonly constants: ReturnType<typeof createConstants>;
}

/** What all blocks of a shard share. */
export interface Sight {
  /** Whether a query sees a column, bool (B, 1, group * S, P): `group` queries share a head of keys. */
  readonly visible: string;
  readonly tables: { readonly cos: string; readonly sin: string };
}

const MICROSOFT = 'com.microsoft';
const NEVER = Number.NEGATIVE_INFINITY;

export function createSight({ graph, shape, traits, constants }: AttentionContext, tables: Sight['tables']): Sight {
  const positions = graph.input(PLACE_PORT.positions, 'i64', ['B', 'S']);
  const columns = graph.input(PLACE_PORT.columns, 'i64', ['P']);
  graph.input(PLACE_PORT.cells, 'i64', ['B', shape.kvHeads, 'S', 3]);
  const group = shape.heads / shape.kvHeads;
  const all = graph.node(
    'Concat',
    Array.from({ length: group }, () => positions),
    { attributes: { axis: attribute.int(1) } },
  );
  const rows = graph.node('Unsqueeze', [all, constants.integers([1, 3])]); // (B, 1, group * S, 1)
  const past = graph.node('LessOrEqual', [columns, rows]);
  if (traits.window === null) return { visible: past, tables };
  const edge = graph.node('Sub', [rows, constants.integers([traits.window])]);
  return { visible: graph.node('And', [past, graph.node('Greater', [columns, edge])]), tables };
}

/** Queries (B, S, heads * headDim), keys and values (B, S, kvHeads * headDim) -> (B, S, heads * headDim). Adds the cache's ports. */
export function plainAttention(
  { graph, shape, constants }: AttentionContext,
  { visible, tables }: Sight,
  ports: { readonly [name in 'pastKey' | 'pastValue' | 'presentKey' | 'presentValue']: string },
  [queries, keys, values]: readonly [string, string, string],
): string {
  const { heads, kvHeads, headDim } = shape;
  const cache = ['B', kvHeads, 'P', headDim];
  const perHead = (rows: string, count: number) =>
    graph.node('Transpose', [graph.node('Reshape', [rows, constants.integers([0, 0, count, headDim])])], {
      attributes: { perm: attribute.ints([0, 2, 1, 3]) },
    });
  const turned = (rows: string) =>
    graph.node('RotaryEmbedding', [rows, PLACE_PORT.positions, tables.cos, tables.sin], { domain: MICROSOFT });
  const kept = (rows: string, past: string, present: string) => {
    graph.input(past, 'f32', cache);
    graph.node('ScatterND', [past, PLACE_PORT.cells, rows], { outputs: [present] });
    graph.output(present, 'f32', cache);
    return present;
  };
  const query = graph.node('Reshape', [turned(perHead(queries, heads)), constants.integers([0, kvHeads, -1, headDim])]);
  const key = kept(turned(perHead(keys, kvHeads)), ports.pastKey, ports.presentKey);
  const value = kept(finite(graph, constants, perHead(values, kvHeads)), ports.pastValue, ports.presentValue);
  const scores = graph.node('FusedMatMul', [query, key], {
    domain: MICROSOFT,
    attributes: { transB: attribute.int(1), alpha: attribute.float(Math.fround(1 / Math.sqrt(headDim))) },
  });
  const seen = graph.node('Where', [visible, scores, constants.float(NEVER)]);
  const shares = graph.node('Softmax', [seen], { attributes: { axis: attribute.int(-1) } });
  const attended = graph.node('Reshape', [
    graph.node('MatMul', [shares, value]),
    constants.integers([0, heads, -1, headDim]),
  ]);
  const rows = graph.node('Transpose', [attended], { attributes: { perm: attribute.ints([0, 2, 1, 3]) } });
  return graph.node('Reshape', [rows, constants.integers([0, 0, heads * headDim])]);
}

/** A share of zero of what is not finite would still be no number, for whoever has the column later: a broken row is an error by its own sums. */
function finite(graph: GraphBuilder, constants: AttentionContext['constants'], rows: string): string {
  const zero = constants.float(0);
  return graph.node('Where', [graph.node('Equal', [graph.node('Sub', [rows, rows]), zero]), rows, zero]);
}
