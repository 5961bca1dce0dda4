// Reads one number out of a wasm blob: how many pages of memory it wants to import. V8 tells an import's kind but not its size.

/** Section id of imports (WebAssembly core specification, 5.5.5). */
const IMPORT_SECTION = 2;
const PREAMBLE_BYTES = 8;
const KIND = { func: 0, table: 1, memory: 2, global: 3 };

/** Initial pages of the imported memory; 0 when the blob imports none. The blob has been validated by the engine. */
export function memoryMinimum(blob: Uint8Array): number {
  const reader = createLebReader(blob);
  reader.skip(PREAMBLE_BYTES);
  while (reader.left() > 0) {
    const id = reader.byte();
    const size = reader.leb();
    if (id === IMPORT_SECTION) return importedMemory(reader);
    reader.skip(size);
  }
  return 0;
}

function importedMemory(reader: LebReader): number {
  for (let count = reader.leb(); count > 0; count--) {
    reader.skip(reader.leb());
    reader.skip(reader.leb());
    const kind = reader.byte();
    if (kind === KIND.memory) return limits(reader);
    if (kind === KIND.func) reader.leb();
    else if (kind === KIND.table) {
      reader.byte();
      limits(reader);
    } else reader.skip(2);
  }
  return 0;
}

/** Limits: a flag whether there is a maximum, the minimum, the maximum. */
function limits(reader: LebReader): number {
  const bounded = reader.byte() & 1;
  const minimum = reader.leb();
  if (bounded) reader.leb();
  return minimum;
}

interface LebReader {
  left(): number;
  skip(bytes: number): void;
  byte(): number;
  /** Unsigned LEB128 of at most 32 bits. */
  leb(): number;
}

function createLebReader(bytes: Uint8Array): LebReader {
  let offset = 0;
  const byte = () => bytes[offset++] ?? 0;
  return {
    left: () => bytes.length - offset,
    skip: (count) => {
      offset += count;
    },
    byte,
    leb: () => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const next = byte();
        value |= (next & 127) << shift;
        if (next < 128 || shift > 28) return value >>> 0;
      }
    },
  };
}
