// Judges the receipt of one run of a stateless model (protocol.md 13): do the tensors belong to it, and are those that went on what the shards
// make of those that came in. Trusts nothing that the accused says.

import type { PeerId, ShardIndex } from '../types/ids.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { equalBytes } from '../util/bytes.ts';
import { errorCode } from '../util/errors.ts';
import { type Parsed, parsing } from '../wire/fields.ts';
import { readTensors } from '../wire/named-tensors.ts';
import type { Receipt } from '../wire/receipt.ts';
import { type Finding, HIDDEN_TOLERANCES, type JudgeDeps, openOf, relativeDistance, tauOf } from './judge.ts';
import { replayRunBorders } from './replay.ts';
import { type KeptTensors, linkOf } from './run-transcript.ts';

export interface JudgedRun {
  /** Of the hop that signed the receipt. */
  readonly peer: PeerId;
  readonly hop: number;
  readonly receipt: Receipt;
  /** The client's signed request. */
  readonly request: Uint8Array;
  readonly taken: KeptTensors;
  readonly given: KeptTensors;
}

export interface RunJudgeDeps extends Omit<JudgeDeps, 'bordersOf'> {
  /** What the accused says stood at the borders inside its run; undefined when it does not say. */
  readonly bordersOf: (judged: JudgedRun, signal: AbortSignal) => Promise<readonly Float32Array[] | undefined>;
}

/** The engine's word for tensors that a shard does not take: who computed them all the same did something else. */
const NOT_TAKEN: readonly string[] = ['E_SHAPE', 'E_TOKEN', 'E_FULL'];

/** Throws what the engine throws. */
export async function judgeRun(judged: JudgedRun, deps: RunJudgeDeps, signal: AbortSignal): Promise<Finding> {
  const { receipt, taken, given } = judged;
  const { from, to } = receipt;
  const { model, shards } = deps;
  if (receipt.manifest !== model.hash || to > model.shardCount) return { at: 'unclear', why: 'of another model' };
  if (shards.slice(from, to).some(({ auditable }) => !auditable))
    return { at: 'unclear', why: 'of a format that is not audited' };
  if (openOf(judged, deps) === undefined) return { at: 'bad', shard: from, why: "without the client's request" };
  if (!equalBytes(linkOf(taken), receipt.taken) || !equalBytes(linkOf(given), receipt.given))
    return { at: 'bad', shard: from, why: 'tensors that are not those of the receipt' };
  const inputs = tensorsIn(taken);
  const outputs = tensorsIn(given);
  if (!inputs.ok || !outputs.ok) return { at: 'bad', shard: from, why: 'tensors that are none' };
  const own = await compute(inputs.value, receipt, deps, signal);
  if (own === undefined) return { at: 'bad', shard: from, why: 'tensors that the shards do not take' };
  const why = difference({ inputs: inputs.value, given: outputs.value, own }, receipt, deps);
  if (why === undefined) return { at: 'good' };
  return { at: 'bad', shard: await firstDifference(judged, inputs.value, deps, signal), why };
}

function tensorsIn({ header, tensor }: KeptTensors): Parsed<readonly NamedTensor[]> {
  return parsing(() => readTensors(header, tensor));
}

/** In memory of their own: an engine takes buffers over. */
function copied(tensors: readonly NamedTensor[]): NamedTensor[] {
  return tensors.map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
}

async function compute(
  tensors: readonly NamedTensor[],
  { from, to }: Receipt,
  { engine }: RunJudgeDeps,
  signal: AbortSignal,
): Promise<readonly NamedTensor[] | undefined> {
  try {
    return await engine.run({ from, to }, copied(tensors), { owner: 'audit' }, signal);
  } catch (error) {
    if (NOT_TAKEN.includes(errorCode(error))) return undefined;
    throw error;
  }
}

interface Compared {
  readonly inputs: readonly NamedTensor[];
  readonly given: readonly NamedTensor[];
  /** What this node makes of the inputs. */
  readonly own: readonly NamedTensor[];
}

/** Where what was given is not what it should be; whole numbers that were computed are not compared, for a close call may fall either way. */
function difference({ inputs, given, own }: Compared, receipt: Receipt, deps: RunJudgeDeps): string | undefined {
  const known = new Map([...inputs, ...own].map((tensor) => [tensor.name, tensor]));
  const wanted = deps.model.inputs?.[receipt.to]?.map(({ name }) => name) ?? own.map(({ name }) => name);
  if (given.map(({ name }) => name).join() !== wanted.filter((name) => known.has(name)).join())
    return 'other tensors than the next shard takes';
  const isOwn = (name: string): boolean => own.some((tensor) => tensor.name === name);
  const bad = given.find((tensor) => {
    const ours = known.get(tensor.name);
    if (ours === undefined || ours.dims.join() !== tensor.dims.join()) return true;
    return isOwn(tensor.name) ? isFar(ours, tensor, receipt, deps) : !isEqual(ours, tensor);
  });
  return bad === undefined ? undefined : `another ${bad.name.slice(0, 40)} than the shards give`;
}

function isFar(ours: NamedTensor, theirs: NamedTensor, receipt: Receipt, deps: RunJudgeDeps): boolean {
  if (!(ours.data instanceof Float32Array)) return theirs.data.constructor !== ours.data.constructor;
  if (!(theirs.data instanceof Float32Array)) return true;
  return relativeDistance(ours.data, theirs.data, rmsOf(ours.data)) > HIDDEN_TOLERANCES * tauOf(receipt, deps);
}

function isEqual({ data: a }: NamedTensor, { data: b }: NamedTensor): boolean {
  const bytesOf = ({ buffer, byteOffset, byteLength }: NamedTensor['data']) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  return a.constructor === b.constructor && equalBytes(bytesOf(a), bytesOf(b));
}

function rmsOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / Math.max(1, values.length)) || 1;
}

/** The first shard after which the accused has other values; the run's first when it does not say what it had. */
async function firstDifference(
  judged: JudgedRun,
  inputs: readonly NamedTensor[],
  deps: RunJudgeDeps,
  signal: AbortSignal,
): Promise<ShardIndex> {
  const { from, to } = judged.receipt;
  if (to - from === 1) return from;
  const claimed = await deps.bordersOf(judged, signal);
  if (claimed === undefined) return from;
  const ours = await replayRunBorders(judged.receipt, inputs, deps.model, deps.engine, signal);
  const at = ours.findIndex(
    (border, i) =>
      relativeDistance(border, claimed[i], rmsOf(border)) > HIDDEN_TOLERANCES * tauOf({ from, to: from + i + 1 }, deps),
  );
  return (at < 0 ? to - 1 : from + at) as ShardIndex;
}
