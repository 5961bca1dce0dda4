// The tokenizer.json of a folder that is imported: its bytes, and how many special tokens stand first.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errorMessage } from '../util/errors.ts';
import { ModelError } from './errors.ts';

/** Throws ModelError MODEL_FILE. */
export async function readTokenizer(folder: string): Promise<Uint8Array> {
  const file = 'tokenizer.json';
  return readFile(join(folder, file)).catch((error: unknown) => {
    const advice = 'save the model with a fast tokenizer of transformers to get one';
    throw new ModelError(
      { code: 'MODEL_FILE', file, why: 'it is missing' },
      `${file} cannot be read (${errorMessage(error)}); ${advice}`,
      { cause: error },
    );
  });
}

/** How many of the first ids are special: challenges leave those out (protocol.md 5). Special tokens elsewhere do no harm there. */
export function countSpecials(json: Uint8Array): number {
  const special = new Set(
    (parseTokenizer(json).added_tokens ?? []).flatMap((token) => (token.special === true ? [token.id] : [])),
  );
  let count = 0;
  while (special.has(count)) count++;
  return count;
}

const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.number().int(), special: z.boolean().optional() })).optional(),
});

function parseTokenizer(json: Uint8Array): z.infer<typeof tokenizerJson> {
  try {
    return tokenizerJson.parse(JSON.parse(Buffer.from(json).toString('utf8')));
  } catch (error) {
    const file = 'tokenizer.json';
    const why = 'it is no tokenizer';
    throw new ModelError({ code: 'MODEL_FILE', file, why }, `${file} cannot be read: ${why}`, { cause: error });
  }
}
