// One line per figure: JSON for machines, words for people; and what the command's exit code says.

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The floor, or the ceiling for `lower`. */
  readonly bar: number;
  readonly better: 'higher' | 'lower';
  /** Whether the machine was quiet for all samples: else nothing is judged. */
  readonly quiet: boolean;
  readonly samples: readonly number[];
  readonly facts?: Readonly<Record<string, unknown>>;
}

export interface Report {
  add(figure: Figure): void;
  /** 1 when a bar was missed on a quiet machine. */
  exitCode(): number;
}

export function createReport(json: boolean, machine: object): Report {
  let missed = 0;
  if (!json) process.stdout.write(`${JSON.stringify(machine)}\n`);
  return {
    add(figure) {
      const { name, value, unit, bar, better, quiet, samples, facts } = figure;
      const ok = better === 'higher' ? value >= bar : value <= bar;
      if (!ok && quiet) missed++;
      const rounded = round(value);
      if (json)
        process.stdout.write(
          `${JSON.stringify({ name, value: rounded, unit, bar, ok, quiet, samples: samples.map(round), ...facts, machine })}\n`,
        );
      else
        process.stdout.write(
          `${name.padEnd(28)} ${String(rounded).padStart(8)} ${unit.padEnd(6)} bar ${bar} ${ok ? 'held' : 'MISSED'}${quiet ? '' : ', busy machine: not judged'}  ${JSON.stringify(facts ?? {})}\n`,
        );
    },
    exitCode: () => (missed > 0 ? 1 : 0),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
