// The vocabulary of identities and time. Branded, so that a node id cannot be passed where an epoch is meant.

declare const brand: unique symbol;
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** A subnet's id on chain (u32, the first is 128001). */
export type SubnetId = Brand<number, 'SubnetId'>;
/** One registration within a subnet (u32 from 1). */
export type NodeId = Brand<number, 'NodeId'>;
/** A SUBNET epoch: floor((block - slot) / epochLength) (protocol.md 2). */
export type Epoch = Brand<number, 'Epoch'>;
export type BlockNumber = Brand<number, 'BlockNumber'>;
/** k: the place of a shard in the cut that the policy names. */
export type ShardIndex = Brand<number, 'ShardIndex'>;
/** A libp2p peer id as base58 text (`12D3KooW...`). */
export type PeerId = Brand<string, 'PeerId'>;
/** `0x` + 64 lower-case hex digits. */
export type Hash = Brand<`0x${string}`, 'Hash'>;
/** An Ethereum-style account, `0x` + 40 hex digits, compared case-insensitively; written lower-case inside the program. */
export type Address = Brand<`0x${string}`, 'Address'>;

/** 100 % in fixed point: the unit of every score and share. */
export const ONE = 10n ** 18n;
