// The part of docs/simulation.md between its marks is written by `npm run sim -- --table docs/simulation.md`.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ADVERSARIES } from './adversaries.ts';
import { type Figures, percent } from './figures.ts';

export interface Row {
  readonly figures: Figures;
  readonly gain: number | undefined;
  readonly broken: readonly string[];
}

interface Setting {
  readonly command: string;
  readonly nodes: number;
  readonly gang: number;
  readonly epochs: number;
  readonly loss: number;
  readonly delay: number;
  readonly minutes: number;
  readonly threads: number;
  readonly machine: string;
}

const HEAD = [
  'name',
  'epochs',
  'seeds',
  'honest proposals that reached 66 %',
  'forged that reached it',
  'reward against an honest node',
  'gain',
  'honest hosters unpaid',
  'throws',
  'bars',
];

function cells({ figures, gain, broken }: Row): readonly string[] {
  const { name, epochs, seeds, honest, reached, forged, forgedReached, reward, unpaid, failed } = figures;
  return [
    name in ADVERSARIES ? `\`${name}\`` : name,
    `${epochs}`,
    `${seeds[0]}-${seeds.at(-1)}`,
    `${reached} of ${honest} (${percent(honest === 0 ? undefined : reached / honest)})`,
    forged === 0 ? '-' : `${forgedReached} of ${forged}`,
    percent(reward),
    gain === undefined ? '-' : `${gain > 0 ? '+' : ''}${percent(gain)}`,
    `${unpaid}`,
    `${failed.length}`,
    broken.length === 0 ? 'hold' : broken.join('; '),
  ];
}

function line(values: readonly string[]): string {
  return `| ${values.join(' | ')} |`;
}

/** Puts lines between the marks of a name in a page; makes the page when it is not there. */
export function putInto(file: string, name: string, lines: readonly string[]): void {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const page = existsSync(file) ? readFileSync(file, 'utf8') : `# Simulation\n\n${begin}\n${end}\n`;
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no marks ${begin} and ${end}`);
  writeFileSync(file, `${page.slice(0, from)}${begin}\n\n${lines.join('\n')}\n\n${page.slice(to)}`);
}

export function writeTable(file: string, rows: readonly Row[], setting: Setting): void {
  const { command, nodes, gang, epochs, loss, delay, minutes, threads, machine } = setting;
  const sum = (of: (figures: Figures) => number): number => rows.reduce((all, { figures }) => all + of(figures), 0);
  const [honest, reached] = [sum((one) => one.honest), sum((one) => one.reached)];
  putInto(file, 'adversaries', [
    `    ${command}`,
    '',
    `${nodes} nodes, ${gang} of them adversaries, seasons of ${epochs} epochs, ${percent(loss, 0)} of messages lost, heads and messages up to ${delay} of a block late; ${Math.round(minutes)} minutes in ${threads === 1 ? 'one thread' : `${threads} threads`} beside other work (${machine}).`,
    '',
    line(HEAD),
    line(HEAD.map(() => '---')),
    ...rows.map((row) => line(cells(row))),
    line([
      'all',
      `${sum((one) => one.epochs)}`,
      '',
      `${reached} of ${honest} (${percent(reached / honest, 3)})`,
      `${sum((one) => one.forgedReached)} of ${sum((one) => one.forged)}`,
      '',
      '',
      `${sum((one) => one.unpaid)}`,
      `${sum((one) => one.failed.length)}`,
      rows.every(({ broken }) => broken.length === 0) ? 'hold' : 'broken',
    ]),
  ]);
}
