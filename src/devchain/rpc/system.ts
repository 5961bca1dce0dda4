// system_*, payment_*: the node's identity, nonces, dry runs, fees.

import { decodeAddress } from '@polkadot/util-crypto';
import { concatBytes, u32le } from '../../util/bytes.ts';
import type { Chain } from '../chain.ts';
import { bytesToKey, hex } from '../hex.ts';
import { createReader, type ScaleReader } from '../scale.ts';
import type { RawSpec } from '../spec.ts';
import { blockAt } from './blocks.ts';
import { invalidParams } from './errors.ts';
import { asBytes, asText, type Params } from './params.ts';
import type { Methods } from './types.ts';

const CLIENT_NAME = 'Tessera dev chain';
const CLIENT_VERSION = '0.1.0';
/** There is no p2p; the id of Substrate's documented first development node key. */
const PEER_ID = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp';

export function systemMethods(chain: Chain, spec: RawSpec): Methods {
  const accountNextIndex = ([account]: Params) => nextNonce(chain, accountBytes(account));
  return {
    system_chain: () => spec.name,
    system_name: () => CLIENT_NAME,
    system_version: () => CLIENT_VERSION,
    system_properties: () => spec.properties ?? {},
    system_chainType: () => spec.chainType ?? 'Development',
    system_health: () => ({ peers: 0, isSyncing: false, shouldHavePeers: false }),
    system_nodeRoles: () => ['Authority'],
    system_peers: () => [],
    system_localPeerId: () => PEER_ID,
    system_localListenAddresses: () => [],
    system_syncState: () => ({
      startingBlock: 0,
      currentBlock: chain.head().number,
      highestBlock: chain.head().number,
    }),
    system_accountNextIndex: accountNextIndex,
    account_nextIndex: accountNextIndex,
    system_dryRun: ([extrinsic, at]) =>
      hex(chain.call(blockAt(chain, at), 'BlockBuilder_apply_extrinsic', asExtrinsic(extrinsic))),
  };
}

export function paymentMethods(chain: Chain): Methods {
  const query = (method: string, [extrinsic, at]: Params) => {
    const bytes = asExtrinsic(extrinsic);
    return createReader(chain.call(blockAt(chain, at), method, concatBytes(bytes, u32le(bytes.length))));
  };
  return {
    payment_queryInfo: (params) => dispatchInfo(query('TransactionPaymentApi_query_info', params)),
    payment_queryFeeDetails: (params) => feeDetails(query('TransactionPaymentApi_query_fee_details', params)),
  };
}

const DISPATCH_CLASSES = ['normal', 'operational', 'mandatory'];

/** RuntimeDispatchInfo: weight (two compacts), class, fee. */
function dispatchInfo(reader: ScaleReader): object {
  const weight = { ref_time: reader.compact(), proof_size: reader.compact() };
  return { weight, class: DISPATCH_CLASSES[reader.u8()], partialFee: reader.u128().toString() };
}

/** FeeDetails: Option<{ base_fee, len_fee, adjusted_weight_fee }>; the tip is not part of it. */
function feeDetails(reader: ScaleReader): object {
  if (reader.u8() === 0) return { inclusionFee: null };
  const fee = () => `0x${reader.u128().toString(16)}`;
  return { inclusionFee: { baseFee: fee(), lenFee: fee(), adjustedWeightFee: fee() } };
}

/** Bytes of an extrinsic whose length prefix is right: otherwise the runtime would trap while decoding. */
function asExtrinsic(value: unknown): Uint8Array {
  const bytes = asBytes(value, 'extrinsic');
  try {
    const reader = createReader(bytes);
    if (reader.compact() === reader.left()) return bytes;
  } catch {
    // falls through to the one error below
  }
  throw invalidParams('extrinsic: not a length followed by that many bytes');
}

/** 20 or 32 bytes, from hex or SS58. */
function accountBytes(value: unknown): Uint8Array {
  const text = asText(value, 'account');
  try {
    const bytes = text.startsWith('0x') ? asBytes(text, 'account') : decodeAddress(text);
    if (bytes.length === 20 || bytes.length === 32) return bytes;
  } catch {
    // falls through to the one error below
  }
  throw invalidParams('account: 20 or 32 bytes in hex, or SS58, are expected');
}

/** The account's nonce in the head's state, plus the waiting transactions that follow it without a gap. */
function nextNonce(chain: Chain, account: Uint8Array): number {
  let nonce = createReader(chain.call(chain.head(), 'AccountNonceApi_account_nonce', account)).u32();
  while (chain.providesTag(bytesToKey(concatBytes(account, u32le(nonce))))) nonce++;
  return nonce;
}
