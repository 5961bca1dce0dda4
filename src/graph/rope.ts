// Rotary positions as tables of cosines and sines, so that graphs need not know how a model stretches them (engine.md 2.2).
// The formulas are those of the model families' own papers: linear (positions divided), Llama 3 (long waves divided), YaRN (arXiv 2309.00071).

import type { RopeScaling } from '../types/model.ts';
import type { LlamaShape } from './weights.ts';

export interface Rope {
  readonly theta: number;
  readonly scaling?: RopeScaling | undefined;
}

/** Cosines and sines of the rotary angles, each (maxContext, headDim / 2) row-major float32: angle = position * frequency of the pair. */
export function ropeTables(
  shape: LlamaShape,
  rope: Rope,
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const frequencies = ropeFrequencies(shape.headDim, rope);
  const amplitude = rope.scaling?.kind === 'yarn' ? rope.scaling.amplitude : 1;
  const half = frequencies.length;
  const cos = new Float32Array(shape.maxContext * half);
  const sin = new Float32Array(shape.maxContext * half);
  for (let i = 0; i < cos.length; i++) {
    const angle = Math.floor(i / half) * (frequencies[i % half] ?? 0);
    cos[i] = amplitude * Math.cos(angle);
    sin[i] = amplitude * Math.sin(angle);
  }
  return { cos, sin };
}

/** Radians per position of each pair of dimensions: 1 / theta^(2i / headDim), stretched. */
function ropeFrequencies(headDim: number, { theta, scaling }: Rope): number[] {
  const plain = Array.from({ length: headDim / 2 }, (_, i) => 1 / theta ** ((2 * i) / headDim));
  if (scaling === undefined) return plain;
  if (scaling.kind === 'linear') return plain.map((frequency) => frequency / scaling.factor);
  if (scaling.kind === 'llama3') return plain.map((frequency) => stretchLongWaves(frequency, scaling));
  return plain.map((frequency, i) => stretchByTurns(frequency, i, headDim, theta, scaling));
}

/** Llama 3: waves that fit the original context highFactor times stay, those that fit less than lowFactor times are divided, between them a blend. */
function stretchLongWaves(frequency: number, scaling: Extract<RopeScaling, { kind: 'llama3' }>): number {
  const turns = (scaling.originalContext * frequency) / (2 * Math.PI);
  const kept = (turns - scaling.lowFactor) / (scaling.highFactor - scaling.lowFactor);
  return blend(frequency / scaling.factor, frequency, kept);
}

/** YaRN: pairs that turn more than betaFast times within the original context stay, those below betaSlow are divided, a ramp over pairs between. */
function stretchByTurns(
  frequency: number,
  pair: number,
  headDim: number,
  theta: number,
  { factor, betaFast, betaSlow, originalContext }: Extract<RopeScaling, { kind: 'yarn' }>,
): number {
  const pairOf = (turns: number) =>
    (headDim * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(Math.floor(pairOf(betaFast)), 0);
  const high = Math.min(Math.ceil(pairOf(betaSlow)), headDim - 1);
  const divided = (pair - low) / Math.max(high - low, 0.001);
  return blend(frequency, frequency / factor, divided);
}

/** `from` at a share of 0 or less, `to` at 1 or more. */
function blend(from: number, to: number, share: number): number {
  const clamped = Math.min(1, Math.max(0, share));
  return from * (1 - clamped) + to * clamped;
}
