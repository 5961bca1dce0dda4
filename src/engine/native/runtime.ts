// ONNX Runtime through its C interface, for what its Node binding has no call for: tensors that stay in a device's memory from run to run
// (docs/decisions/0008). The same library that the binding has loaded, and so the same version. Calls block the thread they are made on.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import type { OnnxType } from '../../graph/onnx.ts';
import { errorMessage } from '../../util/errors.ts';
import { EngineError } from '../types.ts';
import { openLibrary } from './library.ts';

/** A pointer; 0 is none. */
export type Address = bigint;

export interface NativeTensor {
  readonly type: OnnxType;
  readonly dims: readonly number[];
  /** Memory of this process, or of the device of the session, which must stay as it is until the run ends. */
  readonly place: ArrayBufferView | DevicePlace;
}

export interface DevicePlace {
  readonly address: Address;
  readonly bytes: number;
}

export type NativeTensors = Readonly<Record<string, NativeTensor>>;

export interface NativeSession {
  /** Reads `inputs` and writes `outputs` where they are; one tensor may be both. Throws EngineError E_RUN. */
  run(inputs: NativeTensors, outputs: NativeTensors): void;
  release(): void;
}

export interface NativeSessionOptions {
  /** What the graph's weights lie in. */
  readonly folder: string;
  readonly threads: number;
  /** `cuda` runs all nodes on the first GPU, or none. */
  readonly provider: NativeProvider;
}

/** Whose memory is the device's: `host` computes on the CPU, and is there to be compared with. */
export type NativeProvider = 'cuda' | 'host';

export interface NativeRuntime {
  /** Throws EngineError E_RUN with what the runtime says. */
  open(graph: Uint8Array, options: NativeSessionOptions): NativeSession;
}

/** Interface 22 came with version 1.22; its table only ever grows. */
const API_VERSION = 22;
const FUNCTIONS = 210;

/** Places of functions in the table (onnxruntime_c_api.h, struct OrtApi), and what they take. All but the releases answer a status. */
const CALLS = {
  errorMessage: [2, 'str', ['void *']],
  createEnv: [3, 'void *', ['int', 'str', '_Out_ void **']],
  createSession: [8, 'void *', ['void *', 'void *', 'size_t', 'void *', '_Out_ void **']],
  createOptions: [10, 'void *', ['_Out_ void **']],
  disableMemPattern: [17, 'void *', ['void *']],
  setLogLevel: [22, 'void *', ['void *', 'int']],
  setOptimization: [23, 'void *', ['void *', 'int']],
  setThreads: [24, 'void *', ['void *', 'int']],
  createTensor: [49, 'void *', ['void *', 'void *', 'size_t', 'int64_t *', 'size_t', 'int', '_Out_ void **']],
  createMemoryInfo: [68, 'void *', ['str', 'int', 'int', 'int', '_Out_ void **']],
  releaseStatus: [93, 'void', ['void *']],
  releaseMemoryInfo: [94, 'void', ['void *']],
  releaseSession: [95, 'void', ['void *']],
  releaseTensor: [96, 'void', ['void *']],
  releaseOptions: [100, 'void', ['void *']],
  setOption: [130, 'void *', ['void *', 'str', 'str']],
  runBound: [133, 'void *', ['void *', 'void *', 'void *']],
  createBinding: [134, 'void *', ['void *', '_Out_ void **']],
  releaseBinding: [135, 'void', ['void *']],
  bindInput: [136, 'void *', ['void *', 'str', 'void *']],
  bindOutput: [137, 'void *', ['void *', 'str', 'void *']],
  syncOutputs: [203, 'void *', ['void *']],
  appendCuda: [204, 'void *', ['void *', 'void *']],
  createCudaOptions: [205, 'void *', ['_Out_ void **']],
  setCudaOptions: [206, 'void *', ['void *', 'str *', 'str *', 'size_t']],
  releaseCudaOptions: [208, 'void', ['void *']],
} as const;
type Call = keyof typeof CALLS;
type Functions = Readonly<Record<Call, (...values: readonly unknown[]) => unknown>>;

/** onnx.proto's numbers of element types, which are those of the interface. */
const ELEMENT: Readonly<Record<OnnxType, number>> = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, f16: 10 };
const LOG_ERRORS = 3;
const OPTIMIZE_ALL = 99;
const ALLOCATOR_OF_DEVICE = 0;
const MEMORY_DEFAULT = 0;
const NOTHING: Address = 0n;

const OPTIONS = { 'session.intra_op.allow_spinning': '0' };
/** A graph of which the CPU would compute a part is refused: that would be slower than the CPU alone, and nobody would know. */
const ALL_ON_DEVICE = { 'session.disable_cpu_ep_fallback': '1' };
/** Weights are asked for one by one, so twice the memory of the last request is no sensible guess; f32 is f32. */
const CUDA = { device_id: '0', arena_extend_strategy: 'kSameAsRequested', use_tf32: '0' };

/** @throws EngineError E_RUN when the library is not there or too old */
export function openNativeRuntime(): NativeRuntime {
  const functions = readFunctions();
  const failed = (status: unknown): EngineError => {
    const reason = String(functions.errorMessage(status));
    functions.releaseStatus(status);
    return new EngineError({ code: 'E_RUN', reason }, reason);
  };
  const check = (status: unknown): void => {
    if (status !== null) throw failed(status);
  };
  /** What a call gives out by its last parameter. */
  const made = (call: Call, ...values: readonly unknown[]): Address => {
    const out: [Address | null] = [null];
    check(functions[call](...values, out));
    return out[0] ?? NOTHING;
  };
  const environment = made('createEnv', LOG_ERRORS, 'tessera');
  const ownMemory = made('createMemoryInfo', 'Cpu', ALLOCATOR_OF_DEVICE, 0, MEMORY_DEFAULT);

  const configure = (options: Address, { folder, threads, provider }: NativeSessionOptions): void => {
    check(functions.disableMemPattern(options));
    check(functions.setLogLevel(options, LOG_ERRORS));
    check(functions.setOptimization(options, OPTIMIZE_ALL));
    check(functions.setThreads(options, threads));
    const entries = {
      ...OPTIONS,
      'session.model_external_initializers_file_folder_path': folder,
      ...(provider === 'cuda' && ALL_ON_DEVICE),
    };
    for (const [key, value] of Object.entries(entries)) check(functions.setOption(options, key, value));
    if (provider === 'cuda') addCuda(options);
  };
  const addCuda = (options: Address): void => {
    const cuda = made('createCudaOptions');
    try {
      const [keys, values] = [Object.keys(CUDA), Object.values(CUDA)];
      check(functions.setCudaOptions(cuda, keys, values, keys.length));
      check(functions.appendCuda(options, cuda));
    } finally {
      functions.releaseCudaOptions(cuda);
    }
  };
  const bind = (binding: Address, memory: Address, how: 'bindInput' | 'bindOutput', tensors: NativeTensors): void => {
    for (const [name, { type, dims, place }] of Object.entries(tensors)) {
      const onDevice = 'address' in place;
      const [address, bytes] = onDevice ? [place.address, place.bytes] : [koffi.address(place), place.byteLength];
      const tensor = made(
        'createTensor',
        onDevice ? memory : ownMemory,
        address,
        bytes,
        BigInt64Array.from(dims, BigInt),
        dims.length,
        ELEMENT[type],
      );
      try {
        check(functions[how](binding, name, tensor));
      } finally {
        functions.releaseTensor(tensor);
      }
    }
  };

  return {
    open(graph, options) {
      const settings = made('createOptions');
      let session: Address;
      try {
        configure(settings, options);
        session = made('createSession', environment, graph, graph.byteLength, settings);
      } finally {
        functions.releaseOptions(settings);
      }
      const memory =
        options.provider === 'cuda'
          ? made('createMemoryInfo', 'Cuda', ALLOCATOR_OF_DEVICE, 0, MEMORY_DEFAULT)
          : ownMemory;
      /** Keeps arrays of this process from being collected while only native code knows them. */
      const inUse = new Set<NativeTensors>();
      return {
        run(inputs, outputs) {
          inUse.add(inputs).add(outputs);
          const binding = made('createBinding', session);
          try {
            bind(binding, memory, 'bindInput', inputs);
            bind(binding, memory, 'bindOutput', outputs);
            check(functions.runBound(session, null, binding));
            check(functions.syncOutputs(binding));
          } finally {
            functions.releaseBinding(binding);
            inUse.clear();
          }
        },
        release() {
          functions.releaseSession(session);
          if (memory !== ownMemory) functions.releaseMemoryInfo(memory);
        },
      };
    },
  };
}

/** Reads the table of functions out of the library that the Node binding runs on. */
function readFunctions(): Functions {
  const file = join(runtimeFolder(), LIBRARY);
  let library: LibraryHandle;
  try {
    library = openLibrary(file);
  } catch (error) {
    throw unusable(errorMessage(error));
  }
  const [getApi] = koffi.decode(library.func('void *OrtGetApiBase()')(), koffi.array('void *', 1)) as Address[];
  const table = koffi.call(getApi, koffi.proto('void *', ['uint32_t']), API_VERSION) as Address | null;
  if (table === null) throw unusable(`${file} is older than version 1.${API_VERSION}`);
  const places = koffi.decode(table, koffi.array('void *', FUNCTIONS)) as Address[];
  const functions = Object.entries(CALLS).map(([name, [place, result, values]]) => {
    const type = koffi.proto(result, [...values]);
    return [name, (...given: readonly unknown[]) => koffi.call(places[place], type, ...given)];
  });
  return Object.fromEntries(functions) as Functions;
}

/** On Linux, where alone GPUs are used. */
const LIBRARY = 'libonnxruntime.so.1';

/** Where onnxruntime-node keeps its library, and expects those of providers. */
export function runtimeFolder(): string {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  return join(root, 'bin', 'napi-v6', process.platform, process.arch);
}

function unusable(reason: string): EngineError {
  return new EngineError({ code: 'E_RUN', reason }, `ONNX Runtime's C interface cannot be used: ${reason}`);
}
