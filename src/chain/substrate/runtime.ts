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

export interface StorageEntry {
  readonly pallet: string;
  readonly item: string;
  readonly args: readonly unknown[];
  /** Undefined where nothing is stored, also for an item that has a default. */
  readonly sparse?: boolean;
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
  hasArgument(pallet: string, call: string, argument: string): boolean;
  constant(pallet: string, name: string): unknown;
  storage(pallet: string, item: string, args: readonly unknown[]): Query;
  /** Several values of one block, in the order of the entries. */
  storages(entries: readonly StorageEntry[]): Query;
  /** The keys of a map that begin with these arguments, each as the list of all its arguments; at most MAX_KEYS. */
  keys(pallet: string, item: string, args: readonly unknown[]): Query;
  /** The events of a block, as `events` decodes them. */
  blockEvents(): Query;
  /** A runtime API function by its name in polkadot.js' spelling (`networkRuntimeApi`, `getSubnetInfo`). */
  api(api: string, name: string, args: readonly unknown[]): Query;
  /** A signed extrinsic, 0x hex. */
  /** @param tip planck */
  extrinsic(call: CallSpec, signer: Signer, nonce: number, mortality: Mortality, tip: bigint): `0x${string}`;
  extrinsicHash(extrinsic: string): Hash;
  head(headerJson: unknown): Head;
  /** The header as it is hashed. */
  header(headerJson: unknown): Uint8Array;
  events(records: unknown): readonly RuntimeEvent[];
  /** What a dry run answered: the dispatch error, or undefined where the call would do its work (or was not even tried). */
  dryRunError(answer: unknown): { readonly pallet: string; readonly error: string } | undefined;
  /** Pallet and name of a dispatch error as plain data; the pallet is empty for errors of the runtime itself. */
  dispatchError(error: unknown): { readonly pallet: string; readonly error: string };
}

/** What a node gives at once. */
const MAX_KEYS = 1000;

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

  function entryOf(pallet: string, item: string) {
    const entry = api.query[pallet]?.[item];
    if (entry === undefined) throw new RangeError(`no storage ${pallet}.${item}`);
    return entry;
  }

  function storageKey(pallet: string, item: string, args: readonly unknown[]) {
    return registry.createType('StorageKey', [entryOf(pallet, item).creator, args]) as unknown as StorageKeyCodec;
  }

  function decodeValue(key: StorageKeyCodec, answer: unknown, sparse = false): unknown {
    if (typeof answer !== 'string' && (sparse || key.meta.modifier.isOptional)) return undefined;
    const bytes = typeof answer === 'string' ? fromHex(answer) : bytesFallback(key.meta.fallback);
    return toPlain(registry.createType(key.outputType, bytes));
  }

  function eventsOf(records: unknown): readonly RuntimeEvent[] {
    if (typeof records !== 'string') return [];
    const { outputType } = storageKey('system', 'events', []);
    const decoded = registry.createType(outputType, fromHex(records)) as unknown as Iterable<EventRecord>;
    return [...decoded].map(plainEvent);
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
    hasArgument: (pallet, call, argument) =>
      api.tx[pallet]?.[call]?.meta.args.some(({ name }) => name.toString() === argument) ?? false,
    constant: (pallet, name) => toPlain(api.consts[pallet]?.[name]),

    storage(pallet, item, args) {
      const key = storageKey(pallet, item, args);
      return { method: 'state_getStorage', params: [key.toHex()], decode: (answer) => decodeValue(key, answer) };
    },

    storages(entries) {
      const keys = entries.map(({ pallet, item, args }) => storageKey(pallet, item, args));
      return {
        method: 'state_queryStorageAt',
        params: [keys.map((key) => key.toHex())],
        decode(answer) {
          const [{ changes }] = CHANGES.parse(answer);
          const found = new Map(changes);
          return keys.map((key, i) => decodeValue(key, found.get(key.toHex()), entries[i]?.sparse));
        },
      };
    },

    keys(pallet, item, args) {
      const entry = entryOf(pallet, item);
      return {
        method: 'state_getKeysPaged',
        params: [entry.keyPrefix(...args), MAX_KEYS, null],
        decode: (answer) => {
          const keys = z
            .array(z.string())
            .max(MAX_KEYS - 1)
            .parse(answer);
          return keys.map((key) =>
            registry.createType('StorageKey', key).setMeta(entry.creator.meta).args.map(toPlain),
          );
        },
      };
    },

    blockEvents: () => ({
      method: 'state_getStorage',
      params: [storageKey('system', 'events', []).toHex()],
      decode: eventsOf,
    }),

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

    extrinsic({ pallet, name, args }, signer, nonce, { birth, period }, tip) {
      const call = api.tx[pallet]?.[name];
      if (call === undefined) throw new RangeError(`no call ${pallet}.${name}`);
      const extrinsic = call(...args);
      const fields = {
        method: extrinsic.method.toHex(),
        era: registry.createType('ExtrinsicEra', { current: birth.number, period }).toHex(),
        nonce,
        tip,
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

    header: (headerJson) => registry.createType('Header', headerJson).toU8a(),

    events: eventsOf,

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

interface StorageKeyCodec {
  readonly outputType: string;
  readonly meta: { readonly modifier: { readonly isOptional: boolean }; readonly fallback: Uint8Array };
  toHex(): string;
}

/** What state_queryStorageAt answers: one block, its values by key. */
const CHANGES = z.tuple([z.object({ changes: z.array(z.tuple([z.string(), z.string().nullable()])) })]);

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
