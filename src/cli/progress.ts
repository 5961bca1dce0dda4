// Progress of long work: one line that is written anew on a terminal, a plain line at every tenth elsewhere. Says how much, how fast, and
// how long still.

export interface Progress {
  /** `done` of the total, in the unit of the total. */
  at(done: number): void;
  /** Ends the line of a terminal. */
  end(): void;
}

export interface ProgressDeps {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Of a terminal's line. */
const REFRESH_MS = 200;

const STDERR: ProgressDeps = {
  write: (text) => process.stderr.write(text),
  isTerminal: process.stderr.isTTY === true,
  now: () => performance.now(),
};

/** @param unit `bytes`, or a plural such as `blocks` */
export function createProgress(
  { label, unit, total }: { readonly label: string; readonly unit: string; readonly total: number },
  { write, isTerminal, now }: ProgressDeps = STDERR,
): Progress {
  const started = now();
  let shownAt = Number.NEGATIVE_INFINITY;
  let shownTenth = 0;
  return {
    at(done) {
      const line = describe(label, unit, done, total, now() - started);
      if (isTerminal) {
        if (now() < shownAt + REFRESH_MS && done < total) return;
        shownAt = now();
        write(`\r\u001b[K${line}`);
        return;
      }
      const tenth = Math.floor((10 * done) / Math.max(1, total));
      if (tenth === shownTenth) return;
      shownTenth = tenth;
      write(`${line}\n`);
    },
    end() {
      if (isTerminal && shownAt > Number.NEGATIVE_INFINITY) write('\n');
    },
  };
}

function describe(label: string, unit: string, done: number, total: number, ms: number): string {
  const percent = Math.floor((100 * done) / Math.max(1, total));
  const perSecond = ms > 0 ? (done * 1000) / ms : 0;
  const left = perSecond > 0 && done < total ? `, ${duration((total - done) / perSecond)} left` : '';
  const [shown, all, rate] = [done, total, perSecond].map((amount) => quantity(amount, unit));
  return `${label}: ${percent} % (${shown} of ${all}${unit === 'bytes' ? `, ${rate}/s` : ` ${unit}`}${left})`;
}

function quantity(amount: number, unit: string): string {
  return unit === 'bytes' ? `${(amount / 1e6).toFixed(1)} MB` : String(Math.round(amount));
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
