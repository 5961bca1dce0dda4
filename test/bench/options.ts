// What every benchmark is given.

export interface BenchOptions {
  /** Outside of the repository: models and peers lie there, and stay for the next run. */
  readonly folder: string;
  readonly json: boolean;
  /** Only figures whose name contains this. */
  readonly only: string | undefined;
  /** Progress, on stderr. */
  note(line: string): void;
}
