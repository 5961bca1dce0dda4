// What the metadata of one connection's runtime knows, behind plain data: storage keys and values, runtime calls, transactions, events,
// errors. The one place that touches polkadot.js objects. Synchronous: nothing here waits for the endpoint.

import type { ApiPromise } from '@polkadot/api';
import { z } from 'zod';
import type { BlockNumber, Hash } from '../../types/ids.ts';
import { fromHex, toHex } from '../../util/bytes.ts';
import type { ChainEvent, Head, Signer } from '../types.ts';
import { toPlain } from './plain.ts';

/** A read: what to send, and how to understand the answer. */
export interface Query {
  readonly method: string;
  readonly params: readonly unknown[];
  decode(answer: unknown): unknown;
}

export interface CallSpec {
  readonly pallet: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface Mortality {
  /** The block after which the transaction is born. */
  readonly birth: Head;
  /** Blocks that it lives, a power of two >= 4. */
  readonly period: number;
}

export interface RuntimeEvent extends ChainEvent {
  /** Index of the extrinsic that caused it; undefined for those of the block itself. */
  readonly extrinsic: number | undefined;
}

export interface Runtime {
  readonly genesis: Hash;
  readonly specName: string;
  readonly specVersion: number;
  readonly symbol: string;
  readonly decimals: number;
  /** Names (`call network.attest`, ...) that the metadata lacks. */
  missing(needed: {
    readonly calls: readonly string[];
    readonly storage: readonly string[];
    readonly apis: readonly string[];
  }): readonly string[];
  constant(pallet: string, name: string): unknown;
  storage(pallet: string, item: string, args: readonly unknown[]): Query;
  /** A runtime API function by its name in polkadot.js' spelling (`networkRuntimeApi`, `getSubnetInfo`). */
  api(api: string, name: string, args: readonly unknown[]): Query;
  /** A signed extrinsic, 0x hex. */
  extrinsic(call: CallSpec, signer: Signer, nonce: number, mortality: Mortality): `0x${string}`;
  extrinsicHash(extrinsic: string): Hash;
  head(headerJson: unknown): Head;
  events(records: unknown): readonly RuntimeEvent[];
  /** What `system_dryRun` answered: the dispatch error, or undefined where the call would do its work (or was not even tried). */
  dryRunError(answer: unknown): { readonly pallet: string; readonly error: string } | undefined;
  /** Pallet and name of a dispatch error as plain data; the pallet is empty for errors of the runtime itself. */
  dispatchError(error: unknown): { readonly pallet: string; readonly error: string };
}

/** Version of the signed extrinsic format. */
const EXTRINSIC_VERSION = 4;

interface ApiFunction {
  readonly meta: {
    readonly name: string;
    readonly params: readonly { readonly type: string }[];
    readonly type: string;
  };
}

interface HeaderCodec {
  readonly number: { toNumber(): number };
  readonly hash: { toHex(): string };
}

interface EventRecord {
  readonly phase: { readonly isApplyExtrinsic: boolean; readonly asApplyExtrinsic: { toNumber(): number } };
  readonly event: {
    readonly section: string;
    readonly method: string;
    readonly data: Iterable<unknown> & { readonly names: readonly string[] | null };
  };
}

export function createRuntime(api: ApiPromise): Runtime {
  const { registry } = api;

  function storageKey(pallet: string, item: string, args: readonly unknown[]) {
    const entry = api.query[pallet]?.[item];
    if (entry === undefined) throw new RangeError(`no storage ${pallet}.${item}`);
    return registry.createType('StorageKey', [entry.creator, args]) as unknown as {
      readonly outputType: string;
      readonly meta: { readonly modifier: { readonly isOptional: boolean }; readonly fallback: Uint8Array };
      toHex(): string;
    };
  }

  return {
    genesis: api.genesisHash.toHex() as Hash,
    specName: api.runtimeVersion.specName.toString(),
    specVersion: api.runtimeVersion.specVersion.toNumber(),
    symbol: registry.chainTokens[0] ?? 'UNIT',
    decimals: registry.chainDecimals[0] ?? 0,

    missing: ({ calls, storage, apis }) => [
      ...calls.filter((name) => api.tx.network?.[name] === undefined).map((name) => `call network.${name}`),
      ...storage.filter((name) => api.query.network?.[name] === undefined).map((name) => `storage network.${name}`),
      ...apis.filter((name) => api.call.networkRuntimeApi?.[name] === undefined).map((name) => `runtime api ${name}`),
    ],
    constant: (pallet, name) => toPlain(api.consts[pallet]?.[name]),

    storage(pallet, item, args) {
      const key = storageKey(pallet, item, args);
      return {
        method: 'state_getStorage',
        params: [key.toHex()],
        decode(answer) {
          if (typeof answer !== 'string' && key.meta.modifier.isOptional) return undefined;
          const bytes = typeof answer === 'string' ? fromHex(answer) : bytesFallback(key.meta.fallback);
          return toPlain(registry.createType(key.outputType, bytes));
        },
      };
    },

    api(section, name, args) {
      const definition = (api.call[section]?.[name] as ApiFunction | undefined)?.meta;
      if (definition === undefined) throw new RangeError(`no runtime api ${section}.${name}`);
      const encoded = definition.params.map(({ type }, i) => toHex(registry.createType(type, args[i]).toU8a()));
      return {
        method: 'state_call',
        params: [definition.name, `0x${encoded.join('')}`],
        decode: (answer) => toPlain(registry.createType(definition.type, fromHex(String(answer)))),
      };
    },

    extrinsic({ pallet, name, args }, signer, nonce, { birth, period }) {
      const call = api.tx[pallet]?.[name];
      if (call === undefined) throw new RangeError(`no call ${pallet}.${name}`);
      const extrinsic = call(...args);
      const fields = {
        method: extrinsic.method.toHex(),
        era: registry.createType('ExtrinsicEra', { current: birth.number, period }).toHex(),
        nonce,
        tip: 0,
        blockHash: birth.hash,
        genesisHash: api.genesisHash.toHex(),
        specVersion: api.runtimeVersion.specVersion.toNumber(),
        transactionVersion: api.runtimeVersion.transactionVersion.toNumber(),
      };
      const payload = registry.createType('ExtrinsicPayload', fields, { version: EXTRINSIC_VERSION });
      const signature = signer.sign(payload.toU8a({ method: true }));
      extrinsic.addSignature(signer.address, `0x${toHex(signature)}`, payload.toHex());
      return extrinsic.toHex();
    },
    extrinsicHash: (extrinsic) => registry.hash(fromHex(extrinsic)).toHex() as Hash,

    head(headerJson) {
      const header = registry.createType('Header', headerJson) as unknown as HeaderCodec;
      return { number: header.number.toNumber() as BlockNumber, hash: header.hash.toHex() as Hash };
    },

    events(records) {
      if (typeof records !== 'string') return [];
      const { outputType } = storageKey('system', 'events', []);
      const decoded = registry.createType(outputType, fromHex(records)) as unknown as Iterable<EventRecord>;
      return [...decoded].map(plainEvent);
    },

    dryRunError(answer) {
      const result = toPlain(registry.createType('ApplyExtrinsicResult', fromHex(String(answer))));
      const failed = DRY_RUN_FAILED.safeParse(result);
      return failed.success ? dispatchError(failed.data.Ok.Err) : undefined;
    },
    dispatchError,
  };

  function dispatchError(error: unknown) {
    if (typeof error === 'string') return { pallet: '', error };
    const [kind, inner] = Object.entries(error as Record<string, unknown>)[0] ?? ['Other', undefined];
    if (kind !== 'Module')
      return typeof inner === 'string' ? { pallet: kind, error: inner } : { pallet: '', error: kind };
    const { index, error: number } = inner as { index: number; error: Uint8Array };
    const found = registry.findMetaError(new Uint8Array([index, number[0] ?? 0]));
    return { pallet: palletName(found.section), error: found.name };
  }
}

const DRY_RUN_FAILED = z.object({ Ok: z.object({ Err: z.unknown() }) });

function plainEvent({ phase, event }: EventRecord): RuntimeEvent {
  const values = [...event.data].map(toPlain);
  const names = event.data.names ?? values.map((_, i) => String(i));
  return {
    pallet: palletName(event.section),
    name: event.method,
    data: Object.fromEntries(names.map((name, i) => [name, values[i]])),
    extrinsic: phase.isApplyExtrinsic ? phase.asApplyExtrinsic.toNumber() : undefined,
  };
}

/** polkadot.js writes pallets as `transactionPayment`. */
function palletName(section: string): string {
  return section.charAt(0).toUpperCase() + section.slice(1);
}

/** A Bytes codec decodes its own length prefix; what is left is the encoded default. */
function bytesFallback(fallback: Uint8Array): Uint8Array {
  return new Uint8Array(fallback);
}
