// Where a command's words go: results to stdout (one JSON object per line with --json), prose and progress to stderr.

export interface Io {
  readonly json: boolean;
  /** A result: the object with --json, else the text (nothing when it is empty). */
  result(object: object, text: string): void;
  /** Raw text of an answer while it streams; not shown with --json. */
  stream(text: string): void;
  /** Prose for a person, on stderr. */
  note(text: string): void;
}

export function createIo(json: boolean): Io {
  return {
    json,
    result: (object, text) => {
      if (json) process.stdout.write(`${toJson(object)}\n`);
      else if (text !== '') process.stdout.write(`${text}\n`);
    },
    stream: (text) => {
      if (!json) process.stdout.write(text);
    },
    note: (text) => {
      process.stderr.write(`${text}\n`);
    },
  };
}

/** JSON with bigint as decimal strings and bytes as 0x hex (product.md). */
function toJson(value: object): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === 'bigint') return item.toString();
    if (item instanceof Uint8Array) return `0x${Buffer.from(item).toString('hex')}`;
    return item;
  });
}

/** Left-aligned columns, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const PLANCK_DIGITS = 18;

/** Planck as TENSOR with up to `decimals` decimals, not rounded up. */
export function formatTensor(planck: bigint, decimals = 4): string {
  const digits = planck.toString().padStart(PLANCK_DIGITS + 1, '0');
  const whole = digits.slice(0, -PLANCK_DIGITS);
  const rest = digits.slice(-PLANCK_DIGITS).slice(0, decimals).replace(/0+$/, '');
  return rest === '' ? whole : `${whole}.${rest}`;
}

/** A score or share of ONE in per cent. */
export function formatShare(share: bigint): string {
  return `${(Number(share / 10n ** 12n) / 10_000).toFixed(2)} %`;
}
