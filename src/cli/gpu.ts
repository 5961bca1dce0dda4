// What a machine has for computing on a GPU: the runtime's CUDA provider with NVIDIA's libraries beside the runtime, and NVIDIA's driver.
// Looks, and changes nothing on the machine.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { errorMessage } from '../util/errors.ts';

/** What must lie beside the runtime, each after those that it needs: `npm run gpu:install` brings it (scripts/gpu/packages.ts has the hashes). */
export const GPU_FILES = [
  'libcudart.so.13',
  'libnvrtc-builtins.so.13.0',
  'libnvrtc.so.13',
  'libcublasLt.so.13',
  'libcublas.so.13',
  'libcurand.so.10',
  'libonnxruntime_providers_shared.so',
  'libonnxruntime_providers_cuda.so',
] as const;

/** NVIDIA's oldest driver for CUDA 13 (docs.nvidia.com, minor version compatibility). */
export const MIN_DRIVER = 580;

export interface GpuFound {
  /** `linux-x64`: elsewhere the runtime has no CUDA provider that we use. */
  readonly platform: string;
  /** NVIDIA's driver as it names itself, such as 580.65.06. */
  readonly driver: string | undefined;
  /** Files of GPU_FILES that are not there. */
  readonly missing: readonly string[];
}

/** What CUDA says when it is asked for the device. */
export type GpuProbe =
  | { readonly name: string; readonly freeBytes: number }
  /** Why it cannot be used. */
  | { readonly error: string };

/** The folder of onnxruntime-node that this program runs with. */
export function runtimePackage(): string {
  return dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
}

/** Where that package keeps its libraries, and looks for providers. */
export function libraryFolder(root: string): string {
  return join(root, 'bin', 'napi-v6', process.platform, process.arch);
}

/** Kinds of devices that the runtime's own package brings. */
export async function bundledProviders(): Promise<readonly string[]> {
  const { listSupportedBackends } = await import('onnxruntime-node');
  return listSupportedBackends().flatMap(({ name, bundled }) => (bundled ? [name] : []));
}

export function findGpu(root = runtimePackage(), driverFile = '/proc/driver/nvidia/version'): GpuFound {
  const folder = libraryFolder(root);
  return {
    platform: `${process.platform}-${process.arch}`,
    driver: existsSync(driverFile) ? readDriverVersion(readFileSync(driverFile, 'utf8')) : undefined,
    missing: GPU_FILES.filter((name) => !existsSync(join(folder, name))),
  };
}

/** The version in what the kernel module says of itself; `unknown` when there is none to read. */
export function readDriverVersion(text: string): string {
  return /\b\d{3,4}\.\d+(\.\d+)?\b/.exec(text)?.[0] ?? 'unknown';
}

/** Whether CUDA 13 runs on it; one that cannot be read is taken for new enough, since the runtime will say. */
export function driverFits(driver: string): boolean {
  const major = Number.parseInt(driver, 10);
  return Number.isNaN(major) || major >= MIN_DRIVER;
}

/** Loads NVIDIA's libraries and asks the driver for the device, as a node does when it starts. */
export async function probeGpu(): Promise<GpuProbe> {
  try {
    const { loadCudaLibraries } = await import('../engine/native/cuda-libraries.ts');
    const { openDeviceMemory } = await import('../engine/native/memory.ts');
    loadCudaLibraries();
    const memory = openDeviceMemory('cuda');
    return { name: memory.name, freeBytes: memory.free() };
  } catch (error) {
    return { error: errorMessage(error) };
  }
}
