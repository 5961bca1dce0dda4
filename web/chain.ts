// The chain: where it stands, what it paid, how stakes grow.

import type { NetworkState } from '../src/gateway/state.ts';
import { describe, element, find, graphic } from './dom.ts';
import { tensor, tensorNumber } from './figures.ts';

const WIDTH = 320;
const HEIGHT = 100;
const GAP = 3;

export function showChain(state: NetworkState): void {
  const { chain, nodes } = state;
  const total = nodes.reduce((sum, { stake }) => sum + BigInt(stake), 0n);
  describe(find('chain-facts'), [
    ['Block', String(chain.block ?? '-')],
    ['Genesis', chain.genesis.slice(0, 10)],
    ['Total stake', `${tensor(total.toString())} T`],
  ]);
  showMinted(state);
  showStakes(state);
}

function showMinted({ epochs }: NetworkState): void {
  const paid = epochs.filter(({ minted }) => minted !== null).toReversed();
  const values = paid.map(({ minted }) => tensorNumber(minted ?? '0'));
  const most = Math.max(...values, 0);
  const width = WIDTH / Math.max(1, values.length);
  const bars = values.map((value, i) => {
    const height = most === 0 ? 0 : (value / most) * HEIGHT;
    return graphic('rect', { x: i * width, y: HEIGHT - height, width: Math.max(1, width - GAP), height });
  });
  const last = paid.at(-1);
  const words =
    last === undefined
      ? 'No epoch has been settled yet.'
      : `Epoch ${last.epoch} paid ${tensor(last.minted ?? '0')} T; the most of the last ${paid.length} was ${most.toFixed(4)} T.`;
  plot('minted', most === 0 ? [] : bars, words);
}

function showStakes({ history, nodes }: NetworkState): void {
  const points = history.map(({ stakes }) => new Map(stakes.map(({ node, stake }) => [node, tensorNumber(stake)])));
  const all = points.flatMap((stakes) => [...stakes.values()]);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const step = WIDTH / Math.max(1, points.length - 1);
  const y = (value: number): number =>
    most === least ? HEIGHT / 2 : HEIGHT - 2 - ((value - least) / (most - least)) * (HEIGHT - 4);
  const lines = nodes.map(({ id }) => {
    const places = points.flatMap((stakes, i) => {
      const value = stakes.get(id);
      return value === undefined ? [] : [`${(i * step).toFixed(1)},${y(value).toFixed(1)}`];
    });
    return graphic('polyline', { points: places.join(' ') });
  });
  const words =
    points.length < 2
      ? 'Stakes are drawn from the second epoch on.'
      : `From ${least.toFixed(4)} T to ${most.toFixed(4)} T over ${points.length} epochs.`;
  plot('stakes', points.length < 2 ? [] : lines, words);
}

function plot(id: string, marks: readonly Element[], words: string): void {
  const drawing = graphic(
    'svg',
    { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
    ...marks,
  );
  find(id).replaceChildren(...(marks.length === 0 ? [] : [drawing]), element('p', { class: 'figure' }, words));
}
