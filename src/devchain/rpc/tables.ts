// All methods and subscriptions of the dev chain in one place.

import type { Chain } from '../chain.ts';
import type { RawSpec } from '../spec.ts';
import { authorMethods, authorSubscriptions } from './author.ts';
import { blockMethods, blockSubscriptions } from './blocks.ts';
import { devMethods } from './dev.ts';
import { networkMethods } from './network.ts';
import type { Rpc } from './session.ts';
import type { Stall } from './stall.ts';
import { stateMethods, stateSubscriptions } from './state.ts';
import { paymentMethods, systemMethods } from './system.ts';
import type { Methods } from './types.ts';

/** The RPC for clients on this machine, and the same without dev_* for the others. */
export function createRpc(chain: Chain, spec: RawSpec, stall: Stall): { readonly local: Rpc; readonly remote: Rpc } {
  const subscriptions = { ...blockSubscriptions(chain), ...stateSubscriptions(chain), ...authorSubscriptions(chain) };
  const common: Methods = {
    ...blockMethods(chain),
    ...stateMethods(chain),
    ...authorMethods(chain),
    ...systemMethods(chain, spec),
    ...paymentMethods(chain),
    ...networkMethods(chain),
  };
  const withList = (methods: Methods): Rpc => {
    const unsubscribers = Object.values(subscriptions).map(({ unsubscribe }) => unsubscribe);
    const names = [
      ...new Set([...Object.keys(methods), ...Object.keys(subscriptions), ...unsubscribers, 'rpc_methods']),
    ].sort();
    return { methods: { ...methods, rpc_methods: () => ({ methods: names }) }, subscriptions, stall };
  };
  return { local: withList({ ...common, ...devMethods(chain, stall) }), remote: withList(common) };
}
