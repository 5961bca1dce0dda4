// The page: hears of every change of the network in one stream of events, and shows it.

import type { NetworkState } from '../src/gateway/state.ts';
import { showChain } from './chain.ts';
import { startChat } from './chat.ts';
import { find } from './dom.ts';
import { showEpochs } from './epochs.ts';
import { type Route, showNetwork } from './network.ts';

let state: NetworkState | undefined;
let route: Route = new Map();

function show(): void {
  if (state === undefined) return;
  const { chain, subnet, model, moment } = state;
  find('subnet').textContent = `${subnet.name}, model ${model.name}`;
  const standing = find('standing');
  standing.classList.remove('lost');
  standing.textContent =
    chain.block === null
      ? 'Waiting for the chain ...'
      : `Epoch ${moment?.epoch ?? '-'}, ${moment?.phase ?? 'before the first'}`;
  showNetwork(state, route);
  showEpochs(state);
  showChain(state);
}

const events = new EventSource('/api/events');
events.addEventListener('state', (event) => {
  state = JSON.parse((event as MessageEvent<string>).data) as NetworkState;
  show();
});
events.addEventListener('error', () => {
  const standing = find('standing');
  standing.classList.add('lost');
  standing.textContent = 'The gateway does not answer; trying again ...';
});

startChat({
  model: () => state?.model,
  onRoute: (taken) => {
    route = taken;
    show();
  },
});
