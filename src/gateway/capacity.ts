// How many generations a network takes from one asker at once. Pure; a guess that is on the safe side: what is too many comes back as BUSY and
// is tried elsewhere.

/** Below a hoster's eight sessions for a stranger, and its 64 for a client with stake: one that is being given up still has its seat. */
const PER_HOSTER = { stranger: 6, staked: 60 } as const;

/** @param offers of those who can be reached; without any, as many as one hoster takes */
export function capacityOf(
  offers: readonly { readonly shards: readonly unknown[] }[],
  shardCount: number,
  asker: keyof typeof PER_HOSTER,
): number {
  const most = PER_HOSTER[asker];
  const served = offers.reduce((sum, { shards }) => sum + shards.length, 0);
  if (served === 0) return most;
  const hops = Math.ceil((shardCount * offers.length) / served);
  return Math.max(most, Math.floor((most * offers.length) / hops));
}
