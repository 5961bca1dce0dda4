// The public face for TypeScript programs: a client that asks a network, a node that serves one, and what both are made from.

export { openSigner } from './chain/accounts.ts';
export { connectChain } from './chain/substrate.ts';
export type { Chain, Signer, Subnet, SubnetNode } from './chain/types.ts';
export { ClientError } from './client/generation.ts';
export type { ChatMessage } from './model/chat.ts';
export { type Model, openModel } from './model/open.ts';
export { createNode, type Node, type NodeDeps, type NodeOptions } from './node/node.ts';
export {
  type AskOptions,
  createTextClient as createClient,
  type TextAnswer,
  type TextClient,
  type TextClientOptions,
} from './node/text-client.ts';
export { openIdentity } from './p2p/identity.ts';
export type { SubnetId } from './types/ids.ts';
export { CodedError } from './util/errors.ts';
export { createLog, type Log, silentLog } from './util/log.ts';
