// The part of the WebAssembly API that the executor uses, typed here because the compiler's DOM library is not loaded.

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface WasmImport {
  readonly module: string;
  readonly name: string;
  readonly kind: string;
}

/** Opaque: a compiled module. */
export interface WasmModule {
  readonly __module: never;
}

export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface WasmApi {
  readonly Module: {
    new (code: Uint8Array): WasmModule;
    imports(module: WasmModule): readonly WasmImport[];
    exports(module: WasmModule): readonly { readonly name: string; readonly kind: string }[];
  };
  readonly Instance: new (
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
  readonly Memory: new (limits: { readonly initial: number; readonly maximum?: number }) => WasmMemory;
}

declare const WebAssembly: WasmApi;

export const wasm: WasmApi = WebAssembly;

export const PAGE_BYTES = 65_536;
