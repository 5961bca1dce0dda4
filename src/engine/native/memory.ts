// Memory that tensors lie in between runs: a GPU's, by CUDA's own calls, or this process's, which the same code can be tried with.

import type { LibraryHandle } from 'koffi';
import { errorMessage } from '../../util/errors.ts';
import { EngineError } from '../types.ts';
import { openLibrary } from './library.ts';
import type { Address, NativeProvider } from './runtime.ts';

export interface DeviceMemory {
  /** What it is, for a person. */
  readonly name: string;
  /** Bytes that nobody uses. */
  free(): number;
  /** Zeroed. Throws EngineError E_RUN when there is no room. */
  allocate(bytes: number): Address;
  release(address: Address): void;
  /** Within the device. */
  copy(to: Address, from: Address, bytes: number): void;
}

/** @throws EngineError E_RUN with what is missing: the libraries, the driver, the device */
export function openDeviceMemory(provider: NativeProvider): DeviceMemory {
  return provider === 'cuda' ? cudaMemory() : hostMemory();
}

function hostMemory(): DeviceMemory {
  const library = openLibrary(null);
  const calloc = library.func('void *calloc(size_t, size_t)');
  const free = library.func('void free(void *)');
  const memmove = library.func('void *memmove(void *, void *, size_t)');
  return {
    name: 'this process',
    free: () => process.availableMemory(),
    allocate(bytes) {
      const address = calloc(1, bytes) as Address | null;
      if (address === null) throw failed(`no room for ${bytes} bytes`);
      return address;
    },
    release: (address) => void free(address),
    copy: (to, from, bytes) => void memmove(to, from, bytes),
  };
}

const DEVICE = 0;
const WITHIN_DEVICE = 3;
const MAX_NAME = 256;

function cudaMemory(): DeviceMemory {
  const runtime = libraryOf('libcudart.so.13');
  const driver = libraryOf('libcuda.so.1');
  const textOf = runtime.func('str cudaGetErrorString(int)');
  const call = (declaration: string) => {
    const native = runtime.func(declaration);
    return (...values: readonly unknown[]): void => {
      const status = native(...values) as number;
      if (status !== 0) throw failed(`CUDA error ${status}: ${textOf(status)}`);
    };
  };
  const setDevice = call('int cudaSetDevice(int)');
  const info = call('int cudaMemGetInfo(_Out_ size_t *, _Out_ size_t *)');
  const malloc = call('int cudaMalloc(_Out_ void **, size_t)');
  const memset = call('int cudaMemset(void *, int, size_t)');
  const free = call('int cudaFree(void *)');
  const memcpy = call('int cudaMemcpy(void *, void *, size_t, int)');
  const synchronize = call('int cudaDeviceSynchronize()');
  setDevice(DEVICE);
  return {
    name: nameOf(driver),
    free() {
      const [left, whole]: [number[], number[]] = [[0], [0]];
      info(left, whole);
      return left[0] ?? 0;
    },
    allocate(bytes) {
      const out: [Address] = [0n];
      malloc(out, bytes);
      memset(out[0], 0, bytes);
      return out[0];
    },
    release: (address) => free(address),
    copy(to, from, bytes) {
      memcpy(to, from, bytes, WITHIN_DEVICE);
      synchronize(); // a copy within the device may return before it is done
    },
  };
}

function nameOf(driver: LibraryHandle): string {
  const text = new Uint8Array(MAX_NAME);
  const status = driver.func('int cuDeviceGetName(void *, int, int)')(text, MAX_NAME, DEVICE) as number;
  return status === 0 ? new TextDecoder().decode(text.subarray(0, text.indexOf(0))) : 'a CUDA device';
}

function libraryOf(name: string): LibraryHandle {
  try {
    return openLibrary(name);
  } catch (error) {
    throw failed(`${name} cannot be loaded: ${errorMessage(error)}`);
  }
}

function failed(reason: string): EngineError {
  return new EngineError({ code: 'E_RUN', reason }, reason);
}
