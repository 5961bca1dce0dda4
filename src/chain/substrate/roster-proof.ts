// Proofs of who is in an epoch, over an endpoint: asked for where the state is still there, and read by the hash of the block alone, whoever
// handed them over. The storage is named by the dialect.

import { z } from 'zod';
import type { Hash } from '../../types/ids.ts';
import { fromHex, toHex } from '../../util/bytes.ts';
import { errorMessage } from '../../util/errors.ts';
import type { RosterStorage } from '../dialects/dialect.ts';
import { answerUnreadable } from '../errors.ts';
import { checkStateProof } from '../state-proof.ts';
import { ChainError, type ProvenRoster, type StateProof } from '../types.ts';
import type { Link } from './link.ts';
import type { Query, Runtime } from './runtime.ts';

/** JSON-RPC: the endpoint does not offer the method. */
const NO_METHOD = -32601;

const KEYS = z.array(z.string());
const READ_PROOF = z.object({ proof: z.array(z.string()) });

/** Undefined where the endpoint proves nothing. Errors: as `Link.ask`. */
export async function askRosterProof(
  { values, map }: RosterStorage,
  at: Hash,
  {
    link,
    runtime,
    signal,
  }: { readonly link: Link; readonly runtime: Runtime; readonly signal: AbortSignal | undefined },
): Promise<StateProof | undefined> {
  const below = parsed(map.method, KEYS, await link.ask(map.method, map.params, at, signal));
  const keys = [...values.map(keyOf), keyOf(map), ...below];
  try {
    const [header, read] = await Promise.all([
      link.ask('chain_getHeader', [], at, signal),
      link.ask('state_getReadProof', [keys], at, signal),
    ]);
    const { proof } = parsed('state_getReadProof', READ_PROOF, read);
    return { header: runtime.header(header), nodes: proof.map(fromHex) };
  } catch (error) {
    if (error instanceof ChainError && error.facts.code === 'CHAIN_FAULT' && error.facts.rpc === NO_METHOD)
      return undefined;
    throw error;
  }
}

export function readRosterProof({ values, map, decode }: RosterStorage, at: Hash, proof: StateProof): ProvenRoster {
  const question = { keys: values.map((value) => fromHex(keyOf(value))), prefixes: [fromHex(keyOf(map))] };
  const verdict = checkStateProof(at, proof, question);
  if (!verdict.ok) return verdict;
  const [entries = []] = verdict.entries;
  try {
    const state = decode(
      verdict.values.map((value) => (value === undefined ? null : hex(value))),
      entries.map(([key, value]) => [hex(key), hex(value)]),
    );
    return { ok: true, state };
  } catch (error) {
    return { ok: false, code: 'PROOF_UNREADABLE', why: errorMessage(error) };
  }
}

function keyOf({ params }: Query): string {
  return z.string().parse(params[0]);
}

function hex(bytes: Uint8Array): string {
  return `0x${toHex(bytes)}`;
}

function parsed<S extends z.ZodType>(method: string, schema: S, answer: unknown): z.output<S> {
  const found = schema.safeParse(answer);
  if (found.success) return found.data;
  throw answerUnreadable(method, found.error);
}
