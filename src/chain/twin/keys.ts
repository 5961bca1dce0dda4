// Other keys for a node of the chain's twin (chain.md 3.4, calls 67 and 68).

import type { Address, SubnetId } from '../../types/ids.ts';
import {
  type Call,
  ensure,
  event,
  ledgerOf,
  looseKey,
  type TwinNode,
  type TwinState,
  withEntry,
  withLedger,
  withNode,
  withoutEntry,
  withSubnet,
} from './state.ts';

const MAX_HOTKEYS = 256;

/** Node, stake and what is left of earlier nodes move to the new hotkey. */
export function updateHotkey(hotkey: Address, next: Address): Call {
  return (state, origin) => {
    ensure(state.owners.get(hotkey) === origin, 'NotKeyOwner');
    ensure(!state.owners.has(next), 'HotkeyHasOwner');
    ensure(next !== origin, 'ColdkeyMatchesHotkey');
    const owners = withEntry(withoutEntry(state.owners, hotkey), next, origin);
    const moved = moveLoose(withNodeOf({ ...state, owners }, hotkey, { hotkey: next }), hotkey, next);
    return { state: moved, events: [event('HotkeyUpdated', { coldkey: origin, hotkey, newHotkey: next })] };
  };
}

/** What cools down, and what is delegated, stays the old coldkey's. */
export function updateColdkey(hotkey: Address, next: Address): Call {
  return (state, origin) => {
    ensure(state.owners.get(hotkey) === origin, 'NotKeyOwner');
    ensure(next !== hotkey, 'ColdkeyMatchesHotkey');
    const others = [...state.owners].filter(([key, owner]) => owner === next && key !== hotkey);
    ensure(others.length < MAX_HOTKEYS, 'TooManyHotkeys');
    const owners = withEntry(state.owners, hotkey, next);
    return {
      state: withNodeOf({ ...state, owners }, hotkey, { coldkey: next }),
      events: [event('ColdkeyUpdated', { hotkey, coldkey: origin, newColdkey: next })],
    };
  };
}

function withNodeOf(state: TwinState, hotkey: Address, change: Partial<Pick<TwinNode, 'hotkey' | 'coldkey'>>) {
  for (const subnet of state.subnets.values()) {
    const node = [...subnet.nodes.values()].find((one) => one.hotkey === hotkey);
    if (node !== undefined) return withSubnet(state, withNode(subnet, { ...node, ...change }));
  }
  return state;
}

function moveLoose(state: TwinState, hotkey: Address, next: Address): TwinState {
  const moved = [...ledgerOf(state).loose].map(([key, stake]) => {
    const [subnet, owner] = key.split('/');
    return [owner === hotkey ? looseKey(Number(subnet) as SubnetId, next) : key, stake] as const;
  });
  return withLedger(state, { loose: new Map(moved) });
}
