// What KV pools keep their values in: arrays of this process here, memory of a device in native/kv-memory.ts.

/** Rows of values by number, each of any length; empty at first. */
export interface KvMemory<Part> {
  /** Keeps the values that still fit; new ones are zero. No values: nothing stays allocated. Where it throws, the side is as it was. */
  resize(side: number, values: number): void;
  /** Values [from, from + count) of a side; valid until the next resize. */
  part(side: number, from: number, count: number): Part;
  /** Copies `count` values within a side; the two parts do not overlap. */
  move(side: number, to: number, from: number, count: number): void;
}

/** A side gets addresses for this many times what is asked for first, but memory only for what is asked for: sessions of a pool (kv-pool.ts). */
const ROOM = 16;

/** Grows and shrinks in place: what others hold is not copied when a session comes or goes, and who copies nothing stalls nobody. */
export function createArrayMemory(): KvMemory<Float32Array> {
  const sides = new Map<number, ArrayBuffer>();
  const part = (side: number, from: number, count: number) =>
    new Float32Array(sides.get(side) ?? new ArrayBuffer(0), from * Float32Array.BYTES_PER_ELEMENT, count);
  return {
    resize(side, values) {
      const bytes = values * Float32Array.BYTES_PER_ELEMENT;
      const held = sides.get(side);
      if (held !== undefined && bytes <= held.maxByteLength) {
        held.resize(bytes);
        return;
      }
      const grown = new ArrayBuffer(bytes, { maxByteLength: ROOM * bytes });
      if (held !== undefined) new Uint8Array(grown).set(new Uint8Array(held));
      sides.set(side, grown);
    },
    part,
    move(side, to, from, count) {
      part(side, to, count).set(part(side, from, count));
    },
  };
}
