// What the page is told of a network, as JSON: everything anybody could see for themselves. Amounts are planck as decimal strings.

export interface NetworkState {
  readonly chain: { readonly genesis: string; readonly block: number | null; readonly headAgeMs: number };
  readonly subnet: { readonly id: number; readonly name: string };
  readonly model: { readonly name: string; readonly hash: string; readonly maxContext: number };
  /** Null before the subnet's first epoch. */
  readonly moment: Moment | null;
  readonly nodes: readonly NodeState[];
  /** For each shard the nodes that offer it now. */
  readonly coverage: readonly (readonly number[])[];
  /** Newest first; the first one runs. */
  readonly epochs: readonly EpochState[];
  /** Stakes as epochs began, oldest first. */
  readonly history: readonly StakePoint[];
}

export interface Moment {
  readonly epoch: number;
  readonly offset: number;
  readonly phase: string;
  /** First offsets of the phases, and the length of an epoch. */
  readonly windows: {
    readonly commit: number;
    readonly reveal: number;
    readonly score: number;
    readonly length: number;
  };
}

/** 'down': it cannot be reached from here. 'unknown': nothing speaks for or against it. */
export type Health = 'up' | 'down' | 'unknown';

export interface NodeState {
  readonly id: number;
  readonly peer: string;
  readonly nodeClass: string;
  readonly stake: string;
  readonly shards: readonly number[];
  /** Per mille of its capacity; null for who offers nothing. */
  readonly load: number | null;
  readonly health: Health;
  /** Of the last question it answered. */
  readonly latencyMs: number | null;
}

export interface EpochState {
  readonly epoch: number;
  readonly outcome: string;
  readonly proposer: number | null;
  readonly attestations: number;
  readonly validators: number;
  /** Planck; null while it is not settled. */
  readonly minted: string | null;
  /** Scores of the epoch before, as this one's proposal has them. */
  readonly scores: readonly ScoreState[];
  /** Records heard in this epoch: how many nodes said what. */
  readonly heard: Readonly<Record<string, readonly number[]>>;
}

export interface ScoreState {
  readonly node: number;
  /** Per mille of all scores. */
  readonly share: number;
  readonly reason: string;
}

export interface StakePoint {
  readonly epoch: number;
  readonly block: number;
  readonly stakes: readonly { readonly node: number; readonly stake: string }[];
}
