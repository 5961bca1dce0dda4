// What the lane runs next (engine.md 3.4, first form). Pure: queue in, choice out.
// Decodes go first and together; after a decode batch one other job gets its turn, so that neither starves the other.

/** A job that waits, in order of arrival. Only decodes carry a place: the pool and slot of their cache. */
export type Waiting<Pool> = { readonly id: number; readonly place?: { readonly pool: Pool; readonly slot: number } };

/** Ids of the jobs to run now, together: decodes by ascending slot without a gap, or one other job. Empty when nothing waits. */
export function chooseJobs<Pool>(queue: readonly Waiting<Pool>[], afterDecode: boolean): readonly number[] {
  const decode = queue.find((job) => job.place !== undefined);
  const other = queue.find((job) => job.place === undefined);
  if (decode?.place === undefined || (afterDecode && other !== undefined)) return other === undefined ? [] : [other.id];
  return neighbours(queue, decode.place);
}

/** The longest run of waiting slots around `place`; a batch is a contiguous part of its pool's memory. */
function neighbours<Pool>(
  queue: readonly Waiting<Pool>[],
  place: { readonly pool: Pool; readonly slot: number },
): number[] {
  const bySlot = new Map<number, number>();
  for (const job of queue)
    if (job.place?.pool === place.pool && !bySlot.has(job.place.slot)) bySlot.set(job.place.slot, job.id);
  let first = place.slot;
  while (bySlot.has(first - 1)) first--;
  const ids: number[] = [];
  for (let slot = first; ; slot++) {
    const id = bySlot.get(slot);
    if (id === undefined) return ids;
    ids.push(id);
  }
}
