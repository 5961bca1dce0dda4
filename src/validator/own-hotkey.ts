// A node's owner may give it another hotkey at any time. From then on the chain takes no proposal and no vote of the old one, while everything
// else goes on: records are signed with the peer identity. Only who holds the new key can cure that, so it is said in so many words.

import { type Chain, ChainError } from '../chain/types.ts';
import type { Address, Epoch, NodeId, SubnetId } from '../types/ids.ts';
import { CodedError } from '../util/errors.ts';

interface HotkeyErrorFacts {
  readonly code: 'HOTKEY_REPLACED';
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly hotkey: Address;
}

class HotkeyError extends CodedError<HotkeyErrorFacts> {}

/** What the chain says to a hotkey that has no node, or not the elected one. */
const NOT_OURS: readonly string[] = ['InvalidHotkeySubnetNodeId', 'InvalidValidator'];

export interface OwnHotkey {
  /** Runs `send`; throws HOTKEY_REPLACED where it is refused because the node has another hotkey by now, else what it throws. */
  duty<T>(epoch: Epoch, send: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Whether that was found in this epoch: it is said once in each, and paid for once. */
  isReplaced(epoch: Epoch): boolean;
}

export function createOwnHotkey(
  own: { readonly subnet: SubnetId; readonly node: NodeId; readonly hotkey: Address },
  chain: Pick<Chain, 'node'>,
): OwnHotkey {
  const { subnet, node } = own;
  let replacedIn: Epoch | undefined;

  return {
    isReplaced: (epoch) => epoch === replacedIn,
    async duty(epoch, send, signal) {
      try {
        return await send();
      } catch (error) {
        const facts = error instanceof ChainError ? error.facts : undefined;
        if (facts?.code !== 'EXTRINSIC_FAILED' || !NOT_OURS.includes(facts.error)) throw error;
        const found = await chain.node(subnet, node, undefined, signal);
        if (found === undefined || found.hotkey === own.hotkey) throw error;
        replacedIn = epoch;
        const { hotkey } = found;
        throw new HotkeyError(
          { code: 'HOTKEY_REPLACED', subnet, node, hotkey },
          `node ${node} of subnet ${subnet} has the hotkey ${hotkey} now, and this process signs with ${own.hotkey}: it serves on, but the chain takes ` +
            'none of its proposals and votes; start it again with the new key (--hotkey)',
          { cause: error },
        );
      }
    },
  };
}
