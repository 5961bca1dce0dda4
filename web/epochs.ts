// The epoch that runs, phase by phase, and those before it with their scores and the reasons.

import type { EpochState, Moment, NetworkState } from '../src/gateway/state.ts';
import { describe, element, find } from './dom.ts';
import { tensor } from './figures.ts';

export function showEpochs(state: NetworkState): void {
  const { moment, epochs, nodes } = state;
  find('epoch-number').textContent = moment === null ? '' : String(moment.epoch);
  showPhases(moment);
  const running = epochs.find(({ epoch }) => epoch === moment?.epoch);
  const hosters = nodes.filter(({ load }) => load !== null).length;
  const heard = (kind: string): number => running?.heard[kind]?.length ?? 0;
  describe(find('progress'), [
    ['Commitments', `${heard('hc')} of ${hosters}`],
    ['Reveals', `${heard('hr')} of ${hosters}`],
    ['Commits seen by', `${heard('wa')} of ${nodes.length}`],
    ['Reveals seen by', `${heard('wb')} of ${nodes.length}`],
    ['Score commitments', `${heard('sc')} of ${nodes.length}`],
    ['Proposer', running?.proposer === null || running === undefined ? '-' : `node ${running.proposer}`],
    ['Attested', running === undefined ? '-' : `${running.attestations} of ${running.validators}`],
  ]);
  showSettled(epochs.filter(({ epoch }) => epoch !== moment?.epoch));
}

function showPhases(moment: Moment | null): void {
  const place = find('phases');
  if (moment === null) return void place.replaceChildren('The first epoch has not begun.');
  const { commit, reveal, score, length } = moment.windows;
  const phases = [
    ['prompt', commit],
    ['commit', reveal - commit],
    ['reveal', score - reveal],
    ['score', length - score],
  ] as const;
  const parts = phases.map(([name, blocks]) => {
    const part = element('div', { 'aria-current': moment.phase === name ? 'step' : undefined }, name);
    part.style.flex = `${blocks} 1 0`;
    return part;
  });
  const hand = element('span');
  hand.style.width = `${Math.round((100 * (moment.offset + 1)) / length)}%`;
  place.replaceChildren(
    element('div', { class: 'phases' }, ...parts),
    element('div', { class: 'clock', 'aria-hidden': 'true' }, hand),
    element('p', { class: 'figure' }, `Block ${moment.offset + 1} of ${length}`),
  );
}

/** Elements are kept, so that what a person has opened stays open. */
function showSettled(epochs: readonly EpochState[]): void {
  const place = find('epochs');
  const known = new Map([...place.children].map((child) => [child.getAttribute('data-epoch'), child]));
  const shown = epochs.map((epoch) => {
    const key = String(epoch.epoch);
    const kept = known.get(key) ?? element('details', { 'data-epoch': key }, element('summary'), element('div'));
    fill(kept, epoch);
    return kept;
  });
  const same = shown.length === place.children.length && shown.every((one, i) => one === place.children[i]);
  if (same) return;
  for (const child of [...place.children]) if (!shown.includes(child)) child.remove();
  shown.forEach((one, i) => {
    if (place.children[i] !== one) place.insertBefore(one, place.children[i] ?? null);
  });
}

function fill(details: Element, epoch: EpochState): void {
  const text = JSON.stringify(epoch);
  if (details.getAttribute('data-shown') === text) return;
  details.setAttribute('data-shown', text);
  details.setAttribute('data-outcome', epoch.outcome);
  const [summary, body] = details.children;
  const facts = `: proposer ${epoch.proposer ?? 'nobody'}, ${epoch.attestations} of ${epoch.validators} attested, ${epoch.minted === null ? '-' : tensor(epoch.minted)} T paid`;
  summary?.replaceChildren(`${epoch.epoch} `, element('span', { class: 'outcome' }, epoch.outcome), facts);
  const scores = epoch.scores.map(({ node, share, reason }) =>
    element('li', {}, `node ${node}: ${(share / 10).toFixed(1)} %, ${reason}`),
  );
  const title = element('p', { class: 'figure' }, `Scores of epoch ${epoch.epoch - 1}`);
  body?.replaceChildren(
    ...(scores.length === 0 ? ['No scores were proposed.'] : [title, element('ul', {}, ...scores)]),
  );
}
