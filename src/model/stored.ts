// A model of our own as the source of another one: the way from floats to a smaller format.

import { type FileHandle, open } from 'node:fs/promises';
import { encoderWeights } from '../graph/encoder-weights.ts';
import { type FloatFormat, isFloat } from '../graph/formats.ts';
import { layoutWeights, llamaWeights, type WeightSpec } from '../graph/weights.ts';
import { ModelError } from './errors.ts';
import { encoderOf, llamaOf } from './manifest.ts';
import type { Model } from './open.ts';
import type { ModelSource } from './source.ts';

/** The weights must be floats: what is rounded already is not rounded again. Throws ModelError MODEL_UNSUPPORTED. */
export async function storedSource(model: Model): Promise<ModelSource> {
  const { manifest } = model;
  const format = floatFormatOf(model);
  if (manifest.arch === 'graph')
    throw new ModelError({ code: 'MODEL_UNSUPPORTED', key: 'graph' }, 'a graph keeps the weights that it came with');
  if (manifest.arch === 'bert') {
    const { lowercase, prefix } = manifest.encoder;
    const encoder = encoderOf(manifest);
    return {
      arch: 'bert',
      ...encoder,
      tokenizer: { ...manifest.tokenizer, json: await model.read(manifest.tokenizer.file) },
      text: { lowercase, prefix },
      tensor: createReader(model, encoderWeights(encoder, format)),
    };
  }
  const llama = llamaOf(manifest);
  return {
    arch: 'llama',
    ...llama,
    rope: manifest.rope,
    tokenizer: { ...manifest.tokenizer, json: await model.read(manifest.tokenizer.file) },
    chatTemplate: Buffer.from(await model.read(manifest.chatTemplate)).toString('utf8'),
    tensor: createReader(model, llamaWeights(llama, format)),
  };
}

function floatFormatOf({ manifest }: Model): FloatFormat {
  const formats = new Set(manifest.shards.flatMap(({ format, layers = {} }) => [format, ...Object.values(layers)]));
  const [format] = formats;
  if (format !== undefined && formats.size === 1 && isFloat(format)) return format;
  const key = [...formats].join(', ');
  throw new ModelError(
    { code: 'MODEL_UNSUPPORTED', key },
    `weights in ${key} cannot be quantised again: take the model in half precision or in f32`,
  );
}

function createReader(model: Model, specs: readonly WeightSpec[]): ModelSource['tensor'] {
  const places = layoutWeights(specs);
  const types = new Map(specs.map(({ name, type }) => [name, type]));
  return async (name) => {
    const place = places.get(name);
    if (place === undefined) throw new RangeError(`no such tensor: ${name}`);
    await using handle = await open(model.path(place.location), 'r');
    const bytes = await readPart(handle, place.location, place.offset, place.length);
    return types.get(name) === 'f32'
      ? new Float32Array(bytes.buffer)
      : Float32Array.from(new Float16Array(bytes.buffer));
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
