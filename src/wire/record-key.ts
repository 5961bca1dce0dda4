// Where a record lives in the DHT: /tsr/<kind>/<subnet>/<epoch>/<node> (protocol.md 10). One spelling per record: numbers without leading zeros.

import type { Epoch, NodeId, SubnetId } from '../types/ids.ts';
import { EPOCH_KINDS, type RecordBody, type RecordKind } from '../types/record.ts';

/** The name of one write-once record. */
export interface RecordKey {
  readonly kind: RecordKind;
  readonly subnet: SubnetId;
  readonly epoch: Epoch;
  readonly node: NodeId;
}

const KINDS: readonly RecordKind[] = [...EPOCH_KINDS, 'an'];
/** Five parts, the longest possible key; longer text is not looked at. */
const MAX_KEY_CHARS = 48;
const NUMBER = /^(0|[1-9][0-9]{0,9})$/;

export function formatRecordKey(key: RecordKey): string {
  return `/tsr/${key.kind}/${key.subnet}/${key.epoch}/${key.node}`;
}

/** The key a body must be stored under. */
export function keyOfBody(body: RecordBody): string {
  return formatRecordKey(body);
}

/** The parts of a key, or undefined when the text is not the one spelling of a key. */
export function parseRecordKey(text: string): RecordKey | undefined {
  if (text.length > MAX_KEY_CHARS) return undefined;
  const [empty, space, kind, ...numbers] = text.split('/');
  if (empty !== '' || space !== 'tsr' || numbers.length !== 3) return undefined;
  const known = KINDS.find((one) => one === kind);
  if (known === undefined || !numbers.every(isU32)) return undefined;
  const [subnet, epoch, node] = numbers.map(Number);
  return { kind: known, subnet: subnet as SubnetId, epoch: epoch as Epoch, node: node as NodeId };
}

function isU32(text: string): boolean {
  return NUMBER.test(text) && Number(text) <= 0xffff_ffff;
}
