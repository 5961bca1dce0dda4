// The call pattern of a generation: which rows enter the model together. Pure. The same pattern gives the same bits, so a replacement
// session repeats it exactly: prompt in chunks, then each known token alone (protocol.md 12).

/** Rows of one prefill step: large enough that a chunk hides the hops' latency, small enough that an abort is felt (engine.md 3.4). */
const PREFILL_ROWS = 64;

export interface Call {
  /** Position of the first row. */
  readonly position: number;
  readonly ids: readonly number[];
  /** Whether the token that follows is to be drawn. */
  readonly draw: boolean;
}

/** Every call of a fresh session, so that the token after `prompt` and `generated` is drawn by the last one. */
export function callsFromStart(prompt: readonly number[], generated: readonly number[]): readonly Call[] {
  const chunks = Array.from({ length: Math.ceil(prompt.length / PREFILL_ROWS) }, (_, i) => ({
    position: i * PREFILL_ROWS,
    ids: prompt.slice(i * PREFILL_ROWS, (i + 1) * PREFILL_ROWS),
  }));
  const singles = generated.map((id, i) => ({ position: prompt.length + i, ids: [id] }));
  const calls = [...chunks, ...singles];
  return calls.map((call, i) => ({ ...call, draw: i === calls.length - 1 }));
}

/** The one call of a session that has seen all but the last generated token. */
export function nextCall(prompt: readonly number[], generated: readonly number[]): Call {
  const last = generated.slice(-1);
  return { position: prompt.length + generated.length - 1, ids: last, draw: true };
}
