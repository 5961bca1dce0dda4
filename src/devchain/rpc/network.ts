// network_*: the subnet pallet's runtime API as a Hypertensor node offers it over RPC (chain.md 7). Answers are JSON arrays of byte numbers:
// the SCALE of the result; network_proofOfStake answers a boolean.

import { concatBytes, u8, u32le, utf8 } from '../../util/bytes.ts';
import type { Chain } from '../chain.ts';
import { createReader, NONE, some, vec } from '../scale.ts';
import { blockAt } from './blocks.ts';
import { invalidParams, RPC, RpcError } from './errors.ts';
import { asBytes, asInteger, isAbsent, type Params } from './params.ts';
import type { Methods } from './types.ts';

type Argument = 'u32' | 'u8' | 'account' | 'bytes' | 'optional u128';

/** Function name (as in the RPC) to the types of its arguments. Those that a runtime lacks answer "method not found". */
const FUNCTIONS: Readonly<Record<string, readonly Argument[]>> = {
  getSubnetInfo: ['u32'],
  getAllSubnetsInfo: [],
  getBootnodes: ['u32'],
  getSubnetNodeInfo: ['u32', 'u32'],
  getSubnetNodesInfo: ['u32'],
  getAllSubnetNodesInfo: [],
  getValidatorsAndAttestors: ['u32'],
  getColdkeySubnetNodesInfo: ['account'],
  getElectedValidatorInfo: ['u32', 'u32'],
  getColdkeyStakes: ['account'],
  getDelegateStakes: ['account'],
  getNodeDelegateStakes: ['account'],
  getOverwatchCommitsForEpochAndNode: ['u32', 'u32'],
  getOverwatchRevealsForEpochAndNode: ['u32', 'u32'],
  getAllOverwatchNodesInfo: [],
  getSubnetClock: ['u32'],
};

/** Only our own runtime has this function; the others answer Vec<u8> around the SCALE instead of typed results. */
const TYPED_RESULTS_MARK = 'NetworkRuntimeApi_get_subnet_clock';
const ACCOUNT_BYTES = 20;

export function networkMethods(chain: Chain): Methods {
  const methods = Object.entries(FUNCTIONS).map(([name, args]) => [
    `network_${name}`,
    (params: Params) => Array.from(untyped(chain, call(chain, snakeCase(name), args, params), params[args.length])),
  ]);
  const proof: readonly Argument[] = ['u32', 'bytes', 'u8', 'optional u128'];
  return {
    ...Object.fromEntries(methods),
    network_proofOfStake: (params) => call(chain, 'proof_of_stake', proof, params)[0] === 1,
  };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function call(chain: Chain, name: string, args: readonly Argument[], params: Params): Uint8Array {
  const block = blockAt(chain, params[args.length]);
  const method = `NetworkRuntimeApi_${name}`;
  if (!chain.runtimeAt(block).has(method))
    throw new RpcError(RPC.methodNotFound, 'Method not found', `the runtime has no ${method}`);
  return chain.call(
    block,
    method,
    concatBytes(...args.map((type, index) => encode(type, params[index], `parameter ${index + 1}`))),
  );
}

function untyped(chain: Chain, result: Uint8Array, at: unknown): Uint8Array {
  return chain.runtimeAt(blockAt(chain, at)).has(TYPED_RESULTS_MARK) ? result : createReader(result).vec();
}

function encode(type: Argument, value: unknown, what: string): Uint8Array {
  switch (type) {
    case 'u32':
      return u32le(asInteger(value, 2 ** 32 - 1, what));
    case 'u8':
      return u8(asInteger(value, 255, what));
    case 'account': {
      const bytes = asBytes(value, what);
      if (bytes.length !== ACCOUNT_BYTES) throw invalidParams(`${what}: ${ACCOUNT_BYTES} bytes are expected`);
      return bytes;
    }
    case 'bytes':
      return vec(byteString(value, what));
    case 'optional u128':
      return isAbsent(value) ? NONE : some(u128(value, what));
  }
}

/** Hex, an array of byte numbers, or text (a peer id as people write it). */
function byteString(value: unknown, what: string): Uint8Array {
  if (Array.isArray(value)) return Uint8Array.from(value, (item) => asInteger(item, 255, what));
  if (typeof value === 'string' && !value.startsWith('0x')) return utf8(value);
  return asBytes(value, what);
}

function u128(value: unknown, what: string): Uint8Array {
  const digits = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof digits !== 'string' || !/^(0x[0-9a-fA-F]{1,32}|\d{1,38})$/.test(digits))
    throw invalidParams(`${what}: an integer below 2^128 is expected`);
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(BigInt.asUintN(64, BigInt(digits)));
  out.writeBigUInt64LE(BigInt(digits) >> 64n, 8);
  return new Uint8Array(out);
}
