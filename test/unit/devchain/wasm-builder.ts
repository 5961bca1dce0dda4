// Assembles tiny wasm blobs that look like a Substrate runtime: imported memory, `__heap_base`, functions (pointer, length) -> span.

type ValueType = 'i32' | 'i64';

export interface WasmImportSpec {
  readonly name: string;
  readonly params: readonly ValueType[];
  readonly result?: ValueType;
}

export interface WasmSpec {
  readonly imports: readonly WasmImportSpec[];
  /** Export name to instructions; the result is an i64. */
  readonly functions: Readonly<Record<string, readonly number[]>>;
  /** Pages of memory the blob asks for. */
  readonly pages?: number;
  readonly heapBase?: number;
}

const TYPE = { i32: 0x7f, i64: 0x7e };

export function leb(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) out.push((rest & 127) | 128);
  return [...out, rest];
}

/** Signed LEB128, for constants. */
export function signedLeb(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest > 63 || rest < -64) {
    out.push((rest & 127) | 128);
    rest >>= 7;
  }
  return [...out, rest & 127];
}

/** The arguments' pointer and length as a span on the stack. */
export const ARGS_SPAN = [0x20, 0, 0xad, 0x20, 1, 0xad, 0x42, 32, 0x86, 0x84];

export const call = (index: number) => [0x10, ...leb(index)];
export const i32 = (value: number) => [0x41, ...signedLeb(value)];
export const i64 = (value: number) => [0x42, ...signedLeb(value)];
export const UNREACHABLE = 0x00;
export const DROP = 0x1a;

const section = (id: number, body: readonly number[]) => [id, ...leb(body.length), ...body];
const vector = (items: readonly (readonly number[])[]) => [...leb(items.length), ...items.flat()];
const text = (name: string) => [...leb(name.length), ...Buffer.from(name)];
const signature = (params: readonly ValueType[], result: ValueType | undefined) => [
  0x60,
  ...vector(params.map((type) => [TYPE[type]])),
  ...vector(result === undefined ? [] : [[TYPE[result]]]),
];

export function buildWasm({ imports, functions, pages = 1, heapBase = 1024 }: WasmSpec): Uint8Array {
  const bodies = Object.entries(functions);
  const types = [...imports.map(({ params, result }) => signature(params, result)), signature(['i32', 'i32'], 'i64')];
  const own = imports.length;
  const imported = [
    [...text('env'), ...text('memory'), 2, 0, ...leb(pages)],
    ...imports.map(({ name }, index) => [...text('env'), ...text(name), 0, ...leb(index)]),
  ];
  const exported = [
    [...text('__heap_base'), 3, 0],
    ...bodies.map(([name], index) => [...text(name), 0, ...leb(own + index)]),
  ];
  const code = bodies.map(([, body]) => [...leb(body.length + 2), 0, ...body, 0x0b]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector(types)),
    ...section(2, vector(imported)),
    ...section(3, vector(bodies.map(() => leb(own)))),
    ...section(6, vector([[TYPE.i32, 0, 0x41, ...signedLeb(heapBase), 0x0b]])),
    ...section(7, vector(exported)),
    ...section(10, vector(code)),
  ]);
}
