// Figures as people read them. Pure.

const PLANCK = 10n ** 18n;

/** Planck in text as TENSOR, with four decimals. */
export function tensor(planck: string): string {
  const value = BigInt(planck);
  const decimals = ((value % PLANCK) / 10n ** 14n).toString().padStart(4, '0');
  return `${value / PLANCK}.${decimals}`;
}

/** For plots only: precise enough for a line. */
export function tensorNumber(planck: string): number {
  return Number(BigInt(planck) / 10n ** 9n) / 1e9;
}

export function milliseconds(value: number | null): string {
  return value === null ? '-' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** The end of a peer id, which tells peers apart. */
export function shortPeer(peer: string): string {
  return peer.slice(-6);
}
