// What every benchmark is given.

export interface BenchOptions {
  /** Outside of the repository: models and peers lie there, and stay for the next run. */
  readonly folder: string;
  readonly json: boolean;
  /** Only figures whose name contains this. */
  readonly only: string | undefined;
  /** Threads of each side instead of the benchmark's own choice. */
  readonly threads: number | undefined;
  /** Progress, on stderr. */
  note(line: string): void;
}
