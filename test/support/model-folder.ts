// A folder that looks like a model: the manifest of the bundled one, naming files of the sizes and bytes that a test wants.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestBytes, manifestHash, parseManifest } from '../../src/model/manifest.ts';
import type { Manifest, ManifestHash } from '../../src/types/model.ts';

export interface ModelFolder {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly hash: ManifestHash;
  readonly path: (file: string) => string;
}

const SMALL_BYTES = 1000;

/** @param large names and sizes of the files that are larger than a few bytes */
export function writeModelFolder(folder: string, large: Readonly<Record<string, number>>): ModelFolder {
  mkdirSync(folder, { recursive: true });
  const tiny = parseManifest(new Uint8Array(readFileSync('models/tiny/manifest.json')));
  const files = Object.fromEntries(
    Object.keys(tiny.files).map((name, place) => {
      const bytes = noise(large[name] ?? SMALL_BYTES, place);
      writeFileSync(join(folder, name), bytes);
      return [name, { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }];
    }),
  );
  const manifest = { ...tiny, files };
  const text = manifestBytes(manifest);
  writeFileSync(join(folder, 'manifest.json'), text);
  return { folder, manifest, hash: manifestHash(text), path: (file) => join(folder, file) };
}

/** Bytes without repetition, the same in each run. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed + 1;
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  });
  return new Uint8Array(words.buffer).subarray(0, length);
}
