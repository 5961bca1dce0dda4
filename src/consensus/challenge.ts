// The epoch's question, derived from its seed: every node computes the same inputs, nobody knows them before (protocol.md 5).

import type { Epoch, ShardIndex, SubnetId } from '../types/ids.ts';
import type { Manifest, ManifestShard, Port } from '../types/model.ts';
import { u16le, u32le } from '../util/bytes.ts';
import { sha256, shake256, tag } from '../util/hash.ts';

/** What enters a shard: `count` = T positions; hidden data is (T, width) float32, row-major. The engine's Rows fit it. */
export type ChallengeInput =
  | { readonly kind: 'tokens'; readonly ids: Int32Array }
  | { readonly kind: 'hidden'; readonly data: Float32Array; readonly count: number };

/** seed(e), 32 bytes, once h(e) is final. `blockHash` is the 32-byte hash of h(e). */
export function epochSeed(genesis: Uint8Array, subnet: SubnetId, epoch: Epoch, blockHash: Uint8Array): Uint8Array {
  return sha256(tag('tessera/seed/1'), genesis, u32le(subnet), u32le(epoch), blockHash);
}

/** The shard that stands at place k of a cut; undefined when the cut has no such place. */
export function shardAt(manifest: Manifest, cut: string, shard: ShardIndex): ManifestShard | undefined {
  const id = manifest.cuts[cut]?.[shard];
  return id === undefined ? undefined : manifest.shards.find((one) => one.id === id);
}

/**
 * The input of shard k.
 *
 * @param manifestHash 32 bytes
 * @param positions T of the policy
 */
export function challengeInput(
  seed: Uint8Array,
  manifestHash: Uint8Array,
  shard: ShardIndex,
  shape: { readonly manifest: Manifest; readonly of: ManifestShard; readonly positions: number },
): ChallengeInput {
  const { manifest, of, positions } = shape;
  const stream = (length: number): Uint8Array =>
    shake256(length, tag('tessera/challenge/1'), seed, manifestHash, u16le(shard));
  const port = manifest.arch === 'graph' ? of.inputs[0] : undefined;
  const isTokens = manifest.arch === 'graph' ? port?.dtype !== 'f32' : of.first;
  if (isTokens) return { kind: 'tokens', ids: drawTokens(stream(positions * 4), manifest) };
  const values = positions * (port === undefined ? manifest.shape.width : rowValues(port));
  return { kind: 'hidden', data: drawHidden(stream(values * 8), of.gBits), count: positions };
}

/** What the prompt record says of all shards' inputs, ascending by shard (protocol.md 4): SHA-256 over u16le k and the input's bytes. */
export function inputsDigest(inputs: readonly ChallengeInput[]): Uint8Array {
  const parts = inputs.flatMap((input, k) => [u16le(k), bytesOf(input.kind === 'tokens' ? input.ids : input.data)]);
  return sha256(tag('tessera/inputs/1'), ...parts);
}

/** The float32 whose bits a manifest names. */
export function floatOfBits(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

/** Values of one row: of a position, or of a sample. */
function rowValues({ dims }: Port): number {
  return dims.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1);
}

/** u32le mod (vocab - specials) + specials; the bias at 32 bits is irrelevant here. */
function drawTokens(stream: Uint8Array, manifest: Manifest): Int32Array {
  const view = viewOf(stream);
  const specials = manifest.arch === 'graph' ? 0 : manifest.tokenizer.specials;
  const choices = manifest.shape.vocab - specials;
  return Int32Array.from({ length: stream.length / 4 }, (_, i) => (view.getUint32(i * 4, true) % choices) + specials);
}

/** (a + b + c + d - 131070) * g: an integer sum and ONE float32 multiply, so it is bit-exact everywhere. */
function drawHidden(stream: Uint8Array, gBits: number): Float32Array {
  const view = viewOf(stream);
  const gain = floatOfBits(gBits);
  const word = (at: number): number => view.getUint16(at, true);
  return Float32Array.from({ length: stream.length / 8 }, (_, i) => {
    const at = i * 8;
    const sum = word(at) + word(at + 2) + word(at + 4) + word(at + 6) - 131_070;
    return Math.fround(sum * gain);
  });
}

/** Little endian, as every platform of this program is (wire/tensor.ts). */
function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
