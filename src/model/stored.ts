// A model of our own as the source of another one: the way from half precision to a smaller format.

import { type FileHandle, open } from 'node:fs/promises';
import { layoutWeights, llamaWeights } from '../graph/weights.ts';
import { ModelError } from './errors.ts';
import { llamaOf } from './manifest.ts';
import type { Model } from './open.ts';
import type { LlamaSource } from './source.ts';

/** The weights must be in half precision: what is rounded already is not rounded again. Throws ModelError MODEL_UNSUPPORTED. */
export async function storedSource(model: Model): Promise<LlamaSource> {
  const { manifest } = model;
  const format = manifest.shards.find((shard) => shard.format !== 'f16')?.format;
  if (format !== undefined)
    throw new ModelError(
      { code: 'MODEL_UNSUPPORTED', key: format },
      `weights in ${format} cannot be quantised again: take the model in half precision`,
    );
  const llama = llamaOf(manifest);
  const places = layoutWeights(llamaWeights(llama, 'f16'));
  return {
    ...llama,
    rope: manifest.rope,
    tokenizer: { ...manifest.tokenizer, json: await model.read(manifest.tokenizer.file) },
    chatTemplate: Buffer.from(await model.read(manifest.chatTemplate)).toString('utf8'),
    async tensor(name) {
      const place = places.get(name);
      if (place === undefined) throw new RangeError(`no such tensor: ${name}`);
      await using handle = await open(model.path(place.location), 'r');
      const bytes = await readPart(handle, place.location, place.offset, place.length);
      return Float32Array.from(new Float16Array(bytes.buffer));
    },
  };
}

async function readPart(
  handle: FileHandle,
  file: string,
  at: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done);
    if (bytesRead === 0)
      throw new ModelError({ code: 'MODEL_FILE', file, why: 'it ends early' }, `model file ${file} ends early`);
    done += bytesRead;
  }
  return bytes;
}
