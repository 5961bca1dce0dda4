// How much of this node strangers may hold (protocol.md 14). Past a limit: a coded refusal, counted; memory never grows with what a
// stranger sends.

export interface HosterLimits {
  /** Open sessions of one client that has nothing at stake. */
  readonly sessionsPerPeer: number;
  /** Of one that has: a gateway, say. */
  readonly sessionsPerStakedPeer: number;
  /** Open sessions of all; the KV budget of the engine usually ends first. */
  readonly sessions: number;
  /** Of these, kept for clients with stake: peer ids cost nothing, and strangers must not shut them out. */
  readonly reserved: number;
  /** Clients that wait for a seat; the next one is refused. */
  readonly waiting: number;
  /** Longest wait for a seat; the client gives up after ten seconds. */
  readonly waitMs: number;
  /** How often one client that has nothing at stake may be refused at once though it asked before it was told, or for what it will not get. */
  readonly hastyOpens: number;
  /** So many of these come back each second. */
  readonly hastyOpensPerSecond: number;
  /** Streams per peer: its own sessions, and those of other clients that it passes on as the hop before us. */
  readonly streamsPerPeer: number;
  /** A session without a step for so long is freed. */
  readonly idleMs: number;
  /** A fresh stream must say what it wants within this time. */
  readonly firstFrameMs: number;
  /** Steps read ahead of the engine per session, so that a CLOSE behind them is seen; the rest waits in the transport. */
  readonly queuedSteps: number;
  /** Strangers' rows that are decoded at once, and their prompts: who has stake finds no longer queue than that before it. */
  readonly strangerDecodes: number;
  /** The same while clients with stake come and go: a batch is waited for whole. */
  readonly strangerDecodesBesideStake: number;
  readonly strangerPrompts: number;
}

export const HOSTER_LIMITS: HosterLimits = {
  sessionsPerPeer: 8,
  sessionsPerStakedPeer: 64,
  sessions: 256,
  reserved: 64,
  waiting: 64,
  waitMs: 2_000,
  hastyOpens: 32,
  hastyOpensPerSecond: 4,
  streamsPerPeer: 32,
  idleMs: 600_000,
  firstFrameMs: 10_000,
  queuedSteps: 4,
  strangerDecodes: 16,
  strangerDecodesBesideStake: 4,
  strangerPrompts: 1,
};
