// What a kept development network remembers between runs, in `<data-dir>/devnet.json`: its nodes and where they listen.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError } from '../util/errors.ts';

const schema = z.strictObject({
  subnet: z.number().int(),
  hosters: z.number().int().min(1),
  attestors: z.number().int().min(0),
  /** Port and node id by index. */
  nodes: z.array(z.strictObject({ id: z.number().int(), port: z.number().int() })),
});

export type DevnetState = z.infer<typeof schema>;

export class DevnetStateError extends CodedError<{ code: 'DEVNET_STATE_INVALID'; readonly file: string }> {}

/** Undefined when the folder holds no network yet. */
export function readState(dataDir: string): DevnetState | undefined {
  const file = fileOf(dataDir);
  if (!existsSync(file)) return undefined;
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new DevnetStateError(
      { code: 'DEVNET_STATE_INVALID', file },
      `${file} cannot be read; name another --data-dir, or remove the folder to begin anew`,
      { cause },
    );
  }
}

export function writeState(dataDir: string, state: DevnetState): void {
  writeFileSync(fileOf(dataDir), `${JSON.stringify(state, null, 2)}\n`);
}

function fileOf(dataDir: string): string {
  return join(dataDir, 'devnet.json');
}
