// Records this node stores for the network: write-once, bounded, by key. It trusts that values were judged before they come here.

import { equalBytes } from '../util/bytes.ts';
import { errorMessage } from '../util/errors.ts';
import type { RecordRules } from './types.ts';

/** 256 nodes x 8 kinds x 2 records x 3 epochs (protocol.md 10, 14) are 12,288; the oldest go first beyond this. */
const MAX_SHELF_RECORDS = 16_384;
/** What those take together at most: witnesses of 17 KB are the longest, most records are of some hundred bytes. */
const MAX_SHELF_BYTES = 128 << 20;

/** All keys are `/tsr/<kind>/<subnet>/<epoch>/<node>` (protocol.md 10). */
export const RECORD_NAMESPACE = 'tsr';

const MAX_KEY_LENGTH = 256;

/** Why a record may not be stored or believed; undefined when it may. A rule that throws refuses. */
export async function refusal(
  rules: Pick<RecordRules, 'judge' | 'maxRecordBytes'>,
  key: string,
  value: Uint8Array,
): Promise<string | undefined> {
  if (!key.startsWith(`/${RECORD_NAMESPACE}/`) || key.length > MAX_KEY_LENGTH) return 'no record lives under this key';
  if (value.length > rules.maxRecordBytes) return `longer than ${rules.maxRecordBytes} bytes`;
  try {
    const verdict = await rules.judge(key, value);
    return verdict === 'accept' ? undefined : `judged '${verdict}'`;
  } catch (error) {
    return `not judged: ${errorMessage(error)}`;
  }
}

export interface Shelf {
  get(key: string): Uint8Array | undefined;
  /** False when another value is held under the key and stays (protocol.md 4: write once). */
  put(key: string, value: Uint8Array): boolean;
}

/** kad-dht overwrites on PUT without asking its selector; this is where a second value ends (network.md 2). */
export function createShelf(
  replaces: RecordRules['replaces'],
  limits: { readonly records: number; readonly bytes: number } = { records: MAX_SHELF_RECORDS, bytes: MAX_SHELF_BYTES },
): Shelf {
  const held = new Map<string, Uint8Array>();
  let bytes = 0;

  function drop(key: string): void {
    bytes -= held.get(key)?.length ?? 0;
    held.delete(key);
  }

  return {
    get: (key) => held.get(key),
    put(key, value) {
      const old = held.get(key);
      if (old !== undefined && equalBytes(old, value)) return true;
      if (old !== undefined && !replaces(key, old, value)) return false;
      drop(key);
      held.set(key, value.slice());
      bytes += value.length;
      for (const oldest of held.keys()) {
        if (held.size <= limits.records && bytes <= limits.bytes) break;
        drop(oldest);
      }
      return true;
    },
  };
}

/** The record to believe among several of one key: the first, unless a later one replaces it. */
export function bestRecord(
  replaces: RecordRules['replaces'],
  key: string,
  values: readonly Uint8Array[],
): Uint8Array | undefined {
  return values.reduce<Uint8Array | undefined>(
    (best, value) => (best === undefined || replaces(key, best, value) ? value : best),
    undefined,
  );
}
