// A draft of what a model will say: for short runs of tokens the one that mostly follows them. Made from texts of the model itself (scripts/model/draft.ts)
// and kept beside it. Trusts nothing of the file: a table that lies costs guesses and never a token, for the route checks every guess.

export interface DraftTable {
  /** What mostly follows the longest run of these tokens that is known. */
  follows(text: readonly number[]): number | undefined;
}

/** The table of a model folder. */
export const DRAFT_FILE = 'draft.ngrams';
/** A table of a million runs. */
export const MAX_DRAFT_BYTES = 16 << 20;

/** "tsrdraft", version 1. */
const MAGIC = Uint8Array.of(0x74, 0x73, 0x72, 0x64, 0x72, 0x61, 0x66, 0x74, 1);
/** Behind it: longest run, bytes of an id. */
const HEAD_BYTES = MAGIC.length + 2;
const MAX_ORDER = 8;
/** Seen less often a run says nothing. */
const LEAST_SEEN = 2;

/** Runs of one length: run -> what follows. */
type Level = ReadonlyMap<string, number>;

/** Why the bytes are no table for this vocabulary, or the table. */
export function readDraftTable(bytes: Uint8Array, vocab: number): DraftTable | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length > MAX_DRAFT_BYTES) return `${bytes.length} bytes, at most ${MAX_DRAFT_BYTES} are read`;
  if (bytes.length < HEAD_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte))
    return 'it does not begin as a draft table';
  const [order, width] = [view.getUint8(MAGIC.length), view.getUint8(MAGIC.length + 1)];
  if (order < 1 || order > MAX_ORDER || (width !== 2 && width !== 4)) return `runs of ${order}, ids of ${width} bytes`;
  const levels: Level[] = [];
  let at = HEAD_BYTES;
  for (let length = 1; length <= order; length += 1) {
    const count = at + 4 <= bytes.length ? view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    at += 4;
    if (count * (length + 1) * width > bytes.length - at) return 'it ends too early';
    const level = new Map<string, number>();
    for (let i = 0; i < count; i += 1) {
      const ids = Array.from({ length: length + 1 }, (_, place) => idAt(view, at + place * width, width));
      if (ids.some((id) => id >= vocab)) return `an id of ${Math.max(...ids)} in a vocabulary of ${vocab}`;
      level.set(ids.slice(0, length).join(), ids[length] ?? 0);
      at += (length + 1) * width;
    }
    levels.push(level);
  }
  return at === bytes.length ? tableOf(levels) : `${bytes.length - at} bytes too many`;
}

function idAt(view: DataView, at: number, width: number): number {
  return width === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
}

function tableOf(levels: readonly Level[]): DraftTable {
  return { follows: (text) => longest(levels, text) };
}

function longest(levels: readonly Level[], text: readonly number[]): number | undefined {
  for (let length = Math.min(levels.length, text.length); length > 0; length -= 1) {
    const next = levels[length - 1]?.get(text.slice(-length).join());
    if (next !== undefined) return next;
  }
  return undefined;
}

/** Counts what follows runs of up to `order` tokens. What a shorter run says already is left out. Deterministic: ties go to the smaller id. */
export function learnDraftTable(texts: readonly (readonly number[])[], order: number, vocab: number): Uint8Array {
  if (order < 1 || order > MAX_ORDER) throw new RangeError(`runs of 1 to ${MAX_ORDER} tokens, not ${order}`);
  const levels: Level[] = [];
  for (let length = 1; length <= order; length += 1) levels.push(learnLevel(texts, length, levels));
  return encode(levels, vocab <= 0x1_0000 ? 2 : 4);
}

function learnLevel(texts: readonly (readonly number[])[], length: number, shorter: readonly Level[]): Level {
  const counts = new Map<string, Map<number, number>>();
  for (const text of texts)
    for (let end = length; end < text.length; end += 1) {
      const run = text.slice(end - length, end).join();
      const followers = counts.get(run) ?? new Map<number, number>();
      const next = text[end] ?? 0;
      counts.set(run, followers.set(next, (followers.get(next) ?? 0) + 1));
    }
  const level = new Map<string, number>();
  for (const [run, followers] of counts) {
    const seen = [...followers.values()].reduce((sum, count) => sum + count, 0);
    const [best] = [...followers].toSorted(([a, ofA], [b, ofB]) => ofB - ofA || a - b);
    if (best === undefined || seen < LEAST_SEEN) continue;
    if (longest(shorter, run.split(',').map(Number)) !== best[0]) level.set(run, best[0]);
  }
  return level;
}

function encode(levels: readonly Level[], width: 2 | 4): Uint8Array {
  const size = levels.reduce((sum, level, i) => sum + 4 + level.size * (i + 2) * width, HEAD_BYTES);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes.set([levels.length, width], MAGIC.length);
  let at = HEAD_BYTES;
  const put = (value: number, bytesOf: number) => {
    if (bytesOf === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytesOf;
  };
  for (const level of levels) {
    put(level.size, 4);
    for (const [run, next] of [...level].toSorted(([a], [b]) => (a < b ? -1 : 1)))
      for (const id of [...run.split(',').map(Number), next]) put(id, width);
  }
  return bytes;
}
