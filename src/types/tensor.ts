// Tensors by the names of the ports that take and give them: what stateless models are run on.

/** Row-major, in memory of its own that moves with it. */
export interface NamedTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array;
}
