// What a person and a program are told of a model.

import type { EmbeddingReport, QualityReport } from '../engine/quality.ts';
import { embeddingSize, encoderWeights } from '../graph/encoder-weights.ts';
import { llamaWeights, ROPE_COS, ROPE_SIN, type WeightSpec } from '../graph/weights.ts';
import { encoderOf, llamaOf } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { EncoderManifest, LlamaManifest, Manifest, Port } from '../types/model.ts';
import { table } from './io.ts';

export function modelFacts(manifest: Manifest) {
  const { name, license, arch, shape, cuts, shards } = manifest;
  const own =
    manifest.arch === 'graph'
      ? { inputs: shards[0]?.inputs, outputs: shards.at(-1)?.outputs }
      : manifest.arch === 'llama'
        ? { tie: manifest.tie, attention: manifest.attention, rope: manifest.rope }
        : { encoder: manifest.encoder, dimensions: embeddingSize(encoderOf(manifest)) };
  return {
    name,
    license,
    arch,
    parameters: parameters(manifest),
    shape,
    ...own,
    cuts,
    shards: shards.map(({ id, format, layers, from, to, memory }) => ({ id, format, layers, from, to, memory })),
  };
}

export function weightBytes({ files, shards }: Manifest): number {
  const weights = new Set(shards.flatMap((shard) => shard.weights));
  return [...weights].reduce((sum, file) => sum + (files[file]?.bytes ?? 0), 0);
}

export function describeModel({ manifest, hash }: Pick<Model, 'manifest' | 'hash'>): string {
  if (manifest.arch === 'graph') return describeGraph({ manifest, hash });
  const { shape, shards } = manifest;
  const traits = manifest.arch === 'llama' ? decoderWords(manifest) : encoderWords(manifest);
  const heads = manifest.arch === 'llama' ? ` (${shape.kvHeads} key heads)` : '';
  const lines = [
    `${manifest.name} (${manifest.license}), ${(parameters(manifest) / 1e6).toFixed(1)} million parameters, ${traits.join(', ')}`,
    `manifest ${hash}`,
    `${shape.blocks} blocks of width ${shape.width}, ${shape.heads} heads of ${shape.headDim}${heads}, vocabulary ${shape.vocab}, context ${shape.maxContext}`,
    `weights ${megabytes(weightBytes(manifest))}${formatWords(manifest)}`,
  ];
  const rows = shards.map(({ id, from, to, memory }) => [
    `  ${id}`,
    `blocks ${from} to ${to - 1}`,
    `${megabytes(memory.weights)} loaded`,
    `${memory.kvPerToken} bytes per token`,
  ]);
  return `${lines.join('\n')}\n${table(rows)}`;
}

/** How linear layers are stored, where not all are stored alike. */
function formatWords({ shards: [shard] }: Manifest): string {
  const others = Object.entries(shard?.layers ?? {}).map(([layer, format]) => `${layer} in ${format}`);
  return others.length === 0 ? '' : `, linear layers in ${shard?.format}, ${others.join(', ')}`;
}

const FLOAT_BYTES = 4;

function describeGraph({ manifest, hash }: { readonly manifest: Manifest; readonly hash: string }): string {
  const ports = (list: readonly Port[] = []) =>
    list.map(({ name, dtype, dims }) => `${name} ${dtype} [${dims}]`).join(', ');
  const { shards } = manifest;
  return [
    `${manifest.name} (${manifest.license}), a graph of ${shards.length} shards`,
    `manifest ${hash}`,
    `takes ${ports(shards[0]?.inputs)}; gives ${ports(shards.at(-1)?.outputs)}`,
    table(
      shards.map(({ id, memory, outputs }) => [
        `  ${id}`,
        `${megabytes(memory.weights)} loaded`,
        `gives ${ports(outputs)}`,
      ]),
    ),
  ].join('\n');
}

export function describeQuality(
  report: QualityReport | EmbeddingReport,
  sizes: { readonly before: number; readonly after: number },
): string {
  const shrunk = `weights ${megabytes(sizes.before)} -> ${megabytes(sizes.after)}`;
  if ('cosine' in report) {
    const { texts, cosine } = report;
    return `${shrunk}\non ${texts} sentences: cosine to the vectors of before ${cosine.mean.toFixed(5)}, at least ${cosine.least.toFixed(5)}`;
  }
  const { positions, sameBest, divergence, perplexity } = report;
  return `${shrunk}\non ${positions} positions: the same likeliest token at ${(100 * sameBest).toFixed(1)} %, divergence ${divergence.toFixed(4)} nats, perplexity ${perplexity.before.toFixed(2)} -> ${perplexity.after.toFixed(2)}`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function decoderWords({ tie, attention, rope }: LlamaManifest): string[] {
  return [
    tie ? 'tied head' : 'head of its own',
    ...(attention?.qkvBias === true ? ['bias on queries, keys and values'] : []),
    ...(attention?.qkNorm === true ? ['normalised queries and keys'] : []),
    ...(typeof attention?.window === 'number' ? [`sees ${attention.window} positions`] : []),
    ...(rope.scaling === undefined ? [] : [`positions stretched (${rope.scaling.kind})`]),
  ];
}

function encoderWords(manifest: EncoderManifest): string[] {
  const { pooling, head, prefix } = manifest.encoder;
  return [
    `embeddings of ${embeddingSize(encoderOf(manifest))} values`,
    `pooled by ${pooling.join(' and ')}`,
    ...(head.some(({ kind }) => kind === 'dense') ? ['a dense layer behind'] : []),
    ...(head.at(-1)?.kind === 'normalize' ? ['normalised'] : []),
    ...(prefix === '' ? [] : ['a prompt before every text']),
  ];
}

function parameters(manifest: Manifest): number {
  if (manifest.arch === 'graph') return weightBytes(manifest) / FLOAT_BYTES;
  return specsOf(manifest)
    .filter(({ name }) => name !== ROPE_COS && name !== ROPE_SIN)
    .reduce((sum, { dims }) => sum + dims.reduce((product, dim) => product * dim, 1), 0);
}

function specsOf(manifest: LlamaManifest | EncoderManifest): readonly WeightSpec[] {
  return manifest.arch === 'llama'
    ? llamaWeights(llamaOf(manifest), 'f16')
    : encoderWeights(encoderOf(manifest), 'f16');
}
