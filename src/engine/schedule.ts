// What the lane runs next (engine.md 3.4). Pure: queue in, choice out.
// Decodes run together and have half of the lane's time where other jobs wait too: neither starves the other.

/** Where a cache lies. */
export interface Place<Pool> {
  readonly pool: Pool;
  readonly slot: number;
}

/** A job that waits, in order of arrival. */
export interface Waiting<Pool> {
  readonly id: number;
  /** Of the cache of a decode; other jobs have none. */
  readonly place?: Place<Pool>;
  /** The node's own duty, which has a deadline: before all prompts. */
  readonly duty?: boolean;
  /** Whose prompt it is. */
  readonly owner?: string;
}

/** What chooseJobs must know of the rest of the lane. */
export interface Surroundings<Pool> {
  /** Whether other jobs have their turn when decodes wait as well. */
  readonly othersTurn: boolean;
  /** Whether a slot may lie in a batch without work. */
  mayIdle(place: Place<Pool>): boolean;
  /** Which of the owners that wait has had least. */
  nextOwner(owners: readonly string[]): string | undefined;
}

/**
 * Idle slots in a row that a batch may bridge. A further run reads all weights once more; a further row costs a part of that: 0.32 of a run of one row
 * in int4b128 on one thread (TinyLlama's shape, 16 rows against 1), so that two idle rows are cheaper than another run and four are not.
 */
const MAX_GAP = 2;

/**
 * Ids of the jobs to run now, together: decodes by ascending slot, or one other job. Empty when nothing waits. Between the slots of decodes may lie
 * idle ones that `mayIdle` allows: a batch is a contiguous part of its pool's memory.
 */
export function chooseJobs<Pool>(queue: readonly Waiting<Pool>[], around: Surroundings<Pool>): readonly number[] {
  const decode = queue.find((job) => job.place !== undefined);
  const others = queue.filter((job) => job.place === undefined);
  if (decode?.place !== undefined && !(around.othersTurn && others.length > 0))
    return batchAround(queue, decode.place, around.mayIdle);
  const other = others.find((job) => job.duty === true) ?? nextPrompt(others, around);
  return other === undefined ? [] : [other.id];
}

/** The oldest job of the owner who has had least; jobs that belong to nobody come as they are. */
function nextPrompt<Pool>(
  others: readonly Waiting<Pool>[],
  { nextOwner }: Surroundings<Pool>,
): Waiting<Pool> | undefined {
  const [oldest] = others;
  if (oldest?.owner === undefined) return oldest;
  const owner = nextOwner(others.flatMap((job) => (job.owner === undefined ? [] : [job.owner])));
  return others.find((job) => job.owner === owner) ?? oldest;
}

export interface Turns {
  /** The one of `owners` who has had least time; the first one among equals. */
  next(owners: readonly string[]): string | undefined;
  took(owner: string, ms: number): void;
}

/** Start-time fair queueing: whoever was away comes back as if he had kept pace, neither ahead nor behind. */
export function createTurns(): Turns {
  /** Where each owner's next job begins, in milliseconds of everybody's time. */
  const starts = new Map<string, number>();
  let now = 0;
  const startOf = (owner: string) => Math.max(now, starts.get(owner) ?? 0);
  return {
    next: (owners) =>
      owners.reduce<string | undefined>(
        (best, owner) => (best === undefined || startOf(owner) < startOf(best) ? owner : best),
        undefined,
      ),
    took(owner, ms) {
      const start = startOf(owner);
      now = start;
      starts.set(owner, start + ms);
      for (const [other, at] of starts) if (at <= now) starts.delete(other);
    },
  };
}

/** The slots around `place` up to the last decode that can be reached over gaps of idle slots. */
function batchAround<Pool>(
  queue: readonly Waiting<Pool>[],
  { pool, slot }: Place<Pool>,
  mayIdle: (place: Place<Pool>) => boolean,
): number[] {
  const waiting = new Map<number, number>();
  for (const job of queue)
    if (job.place?.pool === pool && !waiting.has(job.place.slot)) waiting.set(job.place.slot, job.id);
  const reach = (step: 1 | -1): number => {
    let end = slot;
    for (let at = slot + step; Math.abs(at - end) <= MAX_GAP + 1; at += step) {
      if (waiting.has(at)) end = at;
      else if (!mayIdle({ pool, slot: at })) break;
    }
    return end;
  };
  const first = reach(-1);
  return Array.from({ length: reach(1) - first + 1 }, (_, i) => waiting.get(first + i)).filter(
    (id) => id !== undefined,
  );
}

/** Loading a shard takes seconds, which is no reason to let prompts wait as long. */
const MAX_CLAIM_MS = 1000;

/** Milliseconds that decodes still have before another job's turn, after a run of `ms`: as many as the last other job took. */
export function nextClaim(claimMs: number, ran: 'decodes' | 'other', ms: number): number {
  return ran === 'other' ? Math.min(MAX_CLAIM_MS, ms) : Math.max(0, claimMs - ms);
}

/** Longest wait for those who decoded in the last batch, and the share of that batch's time which it may cost. */
const MAX_GATHER_MS = 2;
const GATHER_SHARE = 0.05;

/** How long to wait for the rest of a batch whose last run took `lastMs`: their next step is on its way. */
export function gatherMs(lastMs: number): number {
  return Math.min(MAX_GATHER_MS, GATHER_SHARE * lastMs);
}
