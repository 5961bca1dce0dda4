// What the engine's benchmark says of our engine without a peer: sections that each have a process of their own and run alone by `--only`.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { WeightFormat } from '../../../src/graph/formats.ts';
import type { Figure, Report } from '../figure.ts';
import { waitForQuiet } from '../machine.ts';
import type { Measured, Section, SectionSetup } from './alone-process.ts';

interface Case {
  readonly name: string;
  readonly section: Section;
  /** Of TinyLlama's shape; the bundled model where there is none. */
  readonly format?: WeightFormat;
  /** With weights that were repacked before. */
  readonly prepared?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly figures: readonly (Pick<Figure, 'unit' | 'bar' | 'better'> & {
    readonly name: string;
    readonly of: string;
  })[];
}

/**
 * Bars of engine.md 4 (P7, P10 to P13), and of what must not grow. Weights of 4 bits are not kept repacked (prepacked.ts): they load as they are.
 * What grows is looked for where glibc gives back at once what is freed: else it keeps 45 to 55 MiB of it, by chance, which hides or feigns a leak.
 */
const CASES: readonly Case[] = [
  {
    name: 'reload',
    section: 'reload',
    env: { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' },
    figures: [{ name: 'slope', of: 'slopeKib', unit: 'KiB', bar: 16, better: 'lower' }],
  },
  ...(['int4b128', 'w8a8'] as const).map(
    (format): Case => ({
      name: 'load',
      section: 'load',
      format,
      prepared: format === 'w8a8',
      figures: [
        { name: 'time', of: 'loadSeconds', unit: 's', bar: 1.5, better: 'lower' },
        { name: 'memory', of: 'memoryShare', unit: 'ratio', bar: format === 'w8a8' ? 0.1 : 1, better: 'lower' },
      ],
    }),
  ),
  {
    name: 'delay',
    section: 'delay',
    format: 'int4b128',
    figures: [{ name: 'p99', of: 'p99', unit: 'ms', bar: 20, better: 'lower' }],
  },
  {
    name: 'busy',
    section: 'busy',
    format: 'int4b128',
    figures: [{ name: 'decode', of: 'ratio', unit: 'ratio', bar: 0.5, better: 'higher' }],
  },
  {
    name: 'newcomer',
    section: 'newcomer',
    format: 'int4b128',
    figures: [{ name: 'pause', of: 'ratio', unit: 'chunks', bar: 1.25, better: 'lower' }],
  },
  ...(['int4b128', 'w8a8'] as const).map(
    (format): Case => ({
      name: 'scaling16',
      section: 'scaling',
      format,
      figures: [{ name: 'speed', of: 'ratio', unit: 'ratio', bar: 3, better: 'higher' }],
    }),
  ),
];
const BUNDLED = fileURLToPath(new URL('../../../models/tiny', import.meta.url));
const PROGRAM = fileURLToPath(new URL('./alone-process.ts', import.meta.url));
const PATIENCE_MS = 3000;
const THREADS = 2;

export interface AloneDeps {
  readonly report: Report;
  /** Writes the model of TinyLlama's shape, if it is not there. */
  model(format: WeightFormat): Promise<string>;
}

/** Runs the cases whose name holds `only`; answers how many those were. */
export async function benchAlone(
  {
    folder,
    only,
    threads = THREADS,
  }: { readonly folder: string; readonly only: string | undefined; readonly threads: number | undefined },
  { report, model }: AloneDeps,
): Promise<number> {
  const named = CASES.map((one) => ({
    ...one,
    name: `engine.${one.name}${one.format === undefined ? '' : `.${one.format}`}`,
  }));
  const chosen = named.filter(({ name }) => only === undefined || name.includes(only));
  for (const { name, section, format, prepared, env, figures } of chosen) {
    const setup: SectionSetup = {
      section,
      model: format === undefined ? BUNDLED : await model(format),
      threads,
      ...(prepared === true && { prepacked: join(folder, 'prepacked') }),
    };
    if (section === 'load') await measure(setup, env); // makes what is kept, and pages the files in
    const quiet = await waitForQuiet(PATIENCE_MS);
    const measured = await measure(setup, env);
    for (const { name: part, of, ...bar } of figures) {
      const value = measured[of] ?? Number.NaN;
      report.add({
        ...bar,
        name: `${name}.${part}`,
        value,
        quiet,
        samples: [value],
        facts: { threads, ...rounded(measured) },
      });
    }
  }
  return chosen.length;
}

async function measure(setup: SectionSetup, env: Case['env']): Promise<Measured> {
  const options = { env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(setup)], options);
  return JSON.parse(stdout) as Measured;
}

function rounded(measured: Measured): Measured {
  return Object.fromEntries(Object.entries(measured).map(([name, value]) => [name, Number(value.toPrecision(4))]));
}
