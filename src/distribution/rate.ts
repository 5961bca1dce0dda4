// How much may be sent in a second: a bucket that fills steadily. Knows no clock: it is told the time, and says how long to wait.

export interface Rate {
  /** Takes so many bytes now; how many milliseconds to wait before they are sent. */
  take(bytes: number, nowMs: number): number;
}

/** @param bytesPerSecond Infinity for no limit. A second's worth may go at once. */
export function createRate(bytesPerSecond: number): Rate {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) return { take: () => 0 };
  let level = bytesPerSecond;
  let atMs = Number.NEGATIVE_INFINITY;
  return {
    take(bytes, nowMs) {
      level = Math.min(bytesPerSecond, level + ((nowMs - atMs) / 1000) * bytesPerSecond) - bytes;
      atMs = nowMs;
      return Math.max(0, (-level / bytesPerSecond) * 1000);
    },
  };
}
