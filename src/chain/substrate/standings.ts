// How the endpoints of a chain have done: whom to try next, and when. One that fails rests, longer each time, so that an endpoint which takes
// every connection and drops it is not asked without pause; one that held for a while starts anew.

export interface Standings {
  /** Endpoints that may be tried now, the preferred one first. */
  ready(): readonly string[];
  /** Milliseconds until one may be tried; 0 when one may be now. */
  restMs(): number;
  joined(endpoint: string): void;
  /** It could not be joined, or was lost. */
  failed(endpoint: string): void;
  /** What a look at an endpoint that is not in use has found. */
  looked(endpoint: string, isHealthy: boolean): void;
  /** The first endpoint preferred to this one that was healthy at every look for long enough. */
  recovered(current: string): string | undefined;
}

/** After its first failure, doubled with each further one. */
const REST_MS = { first: 500, most: 30_000 } as const;

/** An endpoint that held for so long is as good as new; one that was left and looks well for so long is taken again (chain.md 10.2). */
const HEALTHY_MS = 60_000;

interface Standing {
  strikes: number;
  restsUntil: number;
  joinedAt: number | undefined;
  healthySince: number | undefined;
}

/** @param clock.now milliseconds of a clock that never goes back; @param clock.chance in [0, 1), so that many nodes do not come back at once */
export function createStandings(
  endpoints: readonly string[],
  clock: { readonly now: () => number; readonly chance: () => number },
): Standings {
  const { now, chance } = clock;
  const standings = new Map<string, Standing>(
    endpoints.map((endpoint) => [
      endpoint,
      { strikes: 0, restsUntil: 0, joinedAt: undefined, healthySince: undefined },
    ]),
  );
  const of = (endpoint: string) => standings.get(endpoint) as Standing;

  return {
    ready: () => [...standings].filter(([, { restsUntil }]) => restsUntil <= now()).map(([endpoint]) => endpoint),
    restMs: () => Math.max(0, Math.min(...[...standings.values()].map(({ restsUntil }) => restsUntil)) - now()),
    joined: (endpoint) => {
      Object.assign(of(endpoint), { joinedAt: now(), healthySince: undefined });
    },
    failed(endpoint) {
      const standing = of(endpoint);
      const held = standing.joinedAt !== undefined && now() - standing.joinedAt >= HEALTHY_MS;
      standing.strikes = held ? 1 : standing.strikes + 1;
      standing.joinedAt = undefined;
      standing.healthySince = undefined;
      const rest = Math.min(REST_MS.most, REST_MS.first * 2 ** (standing.strikes - 1));
      standing.restsUntil = now() + rest * (0.5 + chance() / 2);
    },
    looked(endpoint, isHealthy) {
      const standing = of(endpoint);
      standing.healthySince = isHealthy ? (standing.healthySince ?? now()) : undefined;
    },
    recovered(current) {
      for (const [endpoint, { healthySince }] of standings) {
        if (endpoint === current) return undefined;
        if (healthySince !== undefined && now() - healthySince >= HEALTHY_MS) return endpoint;
      }
      return undefined;
    },
  };
}
