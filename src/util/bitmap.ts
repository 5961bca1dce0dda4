// Sets of small numbers as bytes: bit i of byte floor(i/8), least significant first, is member i; ceil(size/8) bytes (protocol.md 3).

/** @param size members that there may be; RangeError for one beyond */
export function encodeBitmap(indexes: Iterable<number>, size: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(size / 8));
  for (const index of indexes) {
    if (index < 0 || index >= size) throw new RangeError(`index ${index} outside a bitmap of ${size}`);
    out[index >> 3] = (out[index >> 3] ?? 0) | (1 << (index & 7));
  }
  return out;
}

/** Ascending indexes, or undefined when the length is wrong or a padding bit is set. */
export function decodeBitmap(bitmap: Uint8Array, size: number): readonly number[] | undefined {
  if (bitmap.length !== Math.ceil(size / 8)) return undefined;
  const indexes = bitsOf(bitmap);
  return (indexes.at(-1) ?? 0) >= size && indexes.length > 0 ? undefined : indexes;
}

/** The indexes that are set, ascending. */
export function bitsOf(bitmap: Uint8Array): readonly number[] {
  const indexes: number[] = [];
  for (let i = 0; i < bitmap.length * 8; i++) {
    if (((bitmap[i >> 3] ?? 0) & (1 << (i & 7))) !== 0) indexes.push(i);
  }
  return indexes;
}
