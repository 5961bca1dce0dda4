// The mosaic: a row for each node, a column for each shard, a tile where the two meet.

import type { NetworkState, NodeState } from '../src/gateway/state.ts';
import { element, find } from './dom.ts';
import { milliseconds, shortPeer, tensor } from './figures.ts';

/** Shards that each node ran of the last answer. */
export type Route = ReadonlyMap<number, readonly number[]>;

const WORDS = { up: 'up', down: 'down', unknown: 'unknown' } as const;

export function showNetwork(state: NetworkState, route: Route): void {
  const { nodes, coverage } = state;
  const bare = coverage.flatMap((served, shard) => (served.length === 0 ? [shard] : []));
  const up = nodes.filter(({ health }) => health === 'up').length;
  find('network-lead').textContent =
    `${up} of ${nodes.length} nodes reached from here; ${bare.length === 0 ? 'every shard is served' : `nobody serves shard ${bare.join(', ')}`}.`;
  const shards = coverage.map((_, shard) => shard);
  const head = element(
    'tr',
    {},
    ...['Node', 'Health'].map((text) => element('th', { scope: 'col' }, text)),
    ...shards.map((shard) => element('th', { scope: 'col', class: 'shard' }, `S${shard}`)),
    ...['Latency', 'Stake', 'Peer'].map((text) => element('th', { scope: 'col' }, text)),
  );
  find('mosaic').replaceChildren(
    element('thead', {}, head),
    element('tbody', {}, ...nodes.map((node) => row(node, shards, route))),
    element('tfoot', {}, coverageRow(state)),
  );
}

function row(node: NodeState, shards: readonly number[], route: Route): HTMLElement {
  const tiles = shards.map((shard) => {
    const serves = node.shards.includes(shard);
    const routed = serves && (route.get(node.id)?.includes(shard) ?? false);
    const words = routed ? 'carried the last answer' : serves ? 'serves' : 'does not serve';
    const tile = element('span', {
      class: `tile${serves ? ' serves' : ''}${routed ? ' routed' : ''}`,
      role: 'img',
      'aria-label': words,
    });
    return element('td', { class: 'shard' }, tile);
  });
  const kind = node.load === null ? 'attestor' : 'hoster';
  return element(
    'tr',
    { 'data-node': String(node.id), 'data-health': node.health },
    element('th', { scope: 'row' }, `${node.id} ${kind}`),
    element('td', { class: 'health' }, WORDS[node.health]),
    ...tiles,
    element('td', {}, milliseconds(node.latencyMs)),
    element('td', {}, `${tensor(node.stake)} T`),
    element('td', { class: 'peer', title: node.peer }, shortPeer(node.peer)),
  );
}

/** How many serve each shard; the bar is full where everybody does. */
function coverageRow({ coverage, nodes }: NetworkState): HTMLElement {
  const most = Math.max(1, nodes.filter(({ load }) => load !== null).length);
  const cells = coverage.map((served) => {
    const fill = element('span');
    fill.style.width = `${Math.round((100 * served.length) / most)}%`;
    const bar = element('span', { class: 'cover', 'aria-hidden': 'true' }, fill);
    return element('td', { class: served.length === 0 ? 'shard bare' : 'shard' }, String(served.length), bar);
  });
  return element(
    'tr',
    {},
    element('th', { scope: 'row', colspan: '2' }, 'Coverage'),
    ...cells,
    element('td', { colspan: '3' }),
  );
}
