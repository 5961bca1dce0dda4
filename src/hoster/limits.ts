// How much of this node strangers may hold (protocol.md 14). Past a limit: a coded refusal, counted; memory never grows with what a
// stranger sends.

export interface HosterLimits {
  /** Open sessions of one client. */
  readonly sessionsPerPeer: number;
  /** Open sessions of all; the KV budget of the engine usually ends first. */
  readonly sessions: number;
  /** Streams per peer: its own sessions, and those of other clients that it passes on as the hop before us. */
  readonly streamsPerPeer: number;
  /** A session without a step for so long is freed. */
  readonly idleMs: number;
  /** A fresh stream must say what it wants within this time. */
  readonly firstFrameMs: number;
  /** Steps read ahead of the engine per session, so that a CLOSE behind them is seen; the rest waits in the transport. */
  readonly queuedSteps: number;
}

export const HOSTER_LIMITS: HosterLimits = {
  sessionsPerPeer: 8,
  sessions: 256,
  streamsPerPeer: 32,
  idleMs: 600_000,
  firstFrameMs: 10_000,
  queuedSteps: 4,
};
