// Whole-number arithmetic of the score rules (protocol.md 8): bigint only, every rounding is a floor and stands where it happens.

/** floor(sqrt(value)) of a non-negative value, by Newton's method from above. */
export function isqrt(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** The middle value; for an even count the floor, toward minus infinity, of the mean of the two middle ones (protocol.md 8.2). */
export function median(values: readonly bigint[]): bigint {
  if (values.length === 0) throw new RangeError('median of nothing');
  const sorted = [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const upper = sorted[sorted.length >> 1] as bigint;
  return sorted.length % 2 === 1 ? upper : ((sorted[(sorted.length >> 1) - 1] as bigint) + upper) >> 1n;
}

/** Coordinate-wise median of vectors of one length. */
export function medianVector(vectors: readonly (readonly bigint[])[]): readonly bigint[] {
  return (vectors[0] ?? []).map((_, i) => median(vectors.map((vector) => vector[i] ?? 0n)));
}

export function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

export function sum(values: Iterable<bigint>): bigint {
  let total = 0n;
  for (const value of values) total += value;
  return total;
}
