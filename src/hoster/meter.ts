// How busy and how fast this node is, from its own steps: what an announce tells so that clients find the fastest route.

/** The clock reading is monotonic milliseconds. */
export interface Meter {
  /** A step of `rows` rows through `shards` shards begins; call the result when it has ended. Answers the microseconds that it took. */
  begin(rows: number, shards: number): () => number;
  /** Per mille of the time since the last call in which at least one step ran. */
  load(): number;
  /** Of one session through one shard, from single rows that ran alone; 0 until there was one. */
  rowsPerSecond(): number;
}

/** Weight of the newest of the steps: the last ten or so count. */
const NEWEST = 0.1;
const US_PER_MS = 1_000;
const PER_MILLE = 1_000;

export function createMeter(now: () => number): Meter {
  let running = 0;
  /** Steps begun so far: tells whether one ran alone. */
  let begun = 0;
  let busyMs = 0;
  let busySince = 0;
  let askedAt = now();
  /** Milliseconds of one row through one shard. */
  let rowMs: number | undefined;

  function settle(at: number): void {
    if (running > 0) busyMs += at - busySince;
    busySince = at;
  }

  function learn(ms: number): void {
    rowMs = rowMs === undefined ? ms : rowMs + NEWEST * (ms - rowMs);
  }

  return {
    begin(rows, shards) {
      const start = now();
      settle(start);
      const place = begun;
      const alone = running === 0;
      running += 1;
      begun += 1;
      return () => {
        const end = now();
        settle(end);
        running -= 1;
        if (rows === 1 && alone && begun === place + 1) learn((end - start) / shards);
        return Math.round((end - start) * US_PER_MS);
      };
    },
    load() {
      const at = now();
      settle(at);
      const load = Math.floor((busyMs * PER_MILLE) / Math.max(1, at - askedAt));
      busyMs = 0;
      askedAt = at;
      return Math.min(PER_MILLE, load);
    },
    rowsPerSecond: () => (rowMs === undefined ? 0 : Math.min(0xffff_ffff, Math.round(1_000 / Math.max(0.001, rowMs)))),
  };
}
