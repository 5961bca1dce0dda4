// NVIDIA's libraries that the runtime's CUDA provider needs, found beside the runtime (where `npm run gpu:install` puts them) or by the system.
// Loaded here first, so that the provider finds them by name wherever they lie.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../../util/errors.ts';
import { EngineError } from '../types.ts';
import { openLibrary } from './library.ts';
import { runtimeFolder } from './runtime.ts';

const PROVIDER = 'libonnxruntime_providers_cuda.so';
/** In the order in which they need each other. */
const LIBRARIES = ['libcudart.so.13', 'libcublasLt.so.13', 'libcublas.so.13', 'libcurand.so.10'];

/** @throws EngineError E_RUN with what is missing and what to do */
export function loadCudaLibraries(): void {
  const folder = runtimeFolder();
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw missing(`GPUs are used on linux-x64, and this is ${process.platform}-${process.arch}`);
  if (!existsSync(join(folder, PROVIDER))) throw missing(`${PROVIDER} is not there; npm run gpu:install brings it`);
  for (const name of LIBRARIES) {
    const own = join(folder, name);
    try {
      openLibrary(existsSync(own) ? own : name);
    } catch (error) {
      throw missing(`${name} cannot be loaded (${errorMessage(error)}); npm run gpu:install brings it`);
    }
  }
}

function missing(reason: string): EngineError {
  return new EngineError({ code: 'E_RUN', reason }, reason);
}
