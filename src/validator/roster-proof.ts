// Who was in an epoch, proven by the state root of its first block (protocol.md 1, 10): by the chain's endpoint while it has that state, later
// by anybody who kept the proof. Trusts the chain for the hash of a final block, and nobody else.

import type { Chain, ProofFault, RosterState } from '../chain/types.ts';
import { type ClockParams, firstBlock } from '../consensus/phase.ts';
import type { Epoch, Hash, PeerId, SubnetId } from '../types/ids.ts';
import { equalBytes } from '../util/bytes.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { decodeProof, encodeProof } from './evidence-protocol.ts';

/** Why a roster is not proven: nobody had a proof, or all that there were broke a rule. */
export type Unproven = ProofFault | 'PROOF_MISSING';

/** What a peer handed over as proof and is none. */
export interface RefusedProof {
  readonly peer: PeerId;
  readonly epoch: Epoch;
  readonly code: ProofFault;
}

export type ProofFound =
  | { readonly ok: true; readonly state: RosterState | undefined; readonly proof: Uint8Array }
  | { readonly ok: false; readonly code: Unproven };

/** Proofs as they are kept and sent (evidence-protocol.ts). */
export interface RosterProofs {
  /** By the chain's endpoint. Errors: those of the chain, among them CHAIN_STATE_DISCARDED. */
  fromChain(epoch: Epoch, signal: AbortSignal): Promise<ProofFound>;
  /** By peers, all of whom are asked at once; of those that hold all say the same. */
  fromPeers(epoch: Epoch, signal: AbortSignal): Promise<ProofFound>;
  /** Everything that peers handed over so far and that was none. */
  refused(): readonly RefusedProof[];
}

export interface RosterProofsOptions {
  readonly subnet: SubnetId;
  readonly clock: ClockParams;
}

export interface RosterProofsDeps {
  readonly chain: Pick<Chain, 'head' | 'blockHash' | 'proveRoster' | 'provenRoster'>;
  /** What peers hand over as proof of an epoch. */
  readonly ask: (epoch: Epoch, signal: AbortSignal) => Promise<readonly OfferedProof[]>;
  readonly log: Log;
}

export interface OfferedProof {
  readonly peer: PeerId;
  readonly proof: Uint8Array;
}

const MISSING = { ok: false, code: 'PROOF_MISSING' } as const;
/** A stranger's mistakes are not collected for ever. */
const REMEMBERED_REFUSALS = 64;

export function createRosterProofs(options: RosterProofsOptions, deps: RosterProofsDeps): RosterProofs {
  const { subnet, clock } = options;
  const { chain, log } = deps;
  const refused: RefusedProof[] = [];

  async function read(epoch: Epoch, at: Hash, bytes: Uint8Array, signal: AbortSignal) {
    const proof = decodeProof(bytes);
    if (proof === undefined) return { ok: false, code: 'PROOF_MALFORMED', why: 'it is not one' } as const;
    return chain.provenRoster(subnet, epoch, at, proof, signal);
  }

  function refuse(
    peer: PeerId,
    epoch: Epoch,
    { code, why }: { readonly code: ProofFault; readonly why: string },
  ): void {
    log.warn('roster proof refused', { peer, epoch, code, why });
    if (code !== 'PROOF_UNSUPPORTED' && refused.length < REMEMBERED_REFUSALS) refused.push({ peer, epoch, code });
  }

  return {
    async fromChain(epoch, signal) {
      const at = await firstHash(chain, clock, epoch, signal);
      if (at === undefined) return MISSING;
      const found = await chain.proveRoster(subnet, epoch, at, signal);
      if (found === undefined) return MISSING;
      const proof = encodeProof(found);
      if (proof === undefined) return { ok: false, code: 'PROOF_TOO_LARGE' };
      const verdict = await read(epoch, at, proof, signal);
      if (verdict.ok) return { ok: true, state: verdict.state, proof };
      log.warn('roster proof refused', { epoch, code: verdict.code, why: verdict.why });
      return { ok: false, code: verdict.code };
    },
    async fromPeers(epoch, signal) {
      const at = await firstHash(chain, clock, epoch, signal);
      if (at === undefined) return MISSING;
      let found: ProofFound = MISSING;
      for (const { peer, proof } of await deps.ask(epoch, signal)) {
        if (found.ok && equalBytes(found.proof, proof)) continue;
        const verdict = await read(epoch, at, proof, signal);
        if (!verdict.ok) refuse(peer, epoch, verdict);
        if (!found.ok)
          found = verdict.ok ? { ok: true, state: verdict.state, proof } : { ok: false, code: verdict.code };
      }
      return found;
    },
    refused: () => refused,
  };
}

/** The hash of an epoch's first block when that is final. */
export async function firstHash(
  chain: Pick<Chain, 'head' | 'blockHash'>,
  clock: ClockParams,
  epoch: Epoch,
  signal: AbortSignal,
): Promise<Hash | undefined> {
  const block = firstBlock(epoch, clock);
  const final = await chain.head('finalized', signal);
  return final.number < block ? undefined : chain.blockHash(block, signal);
}

/** Keeps the proof of what was read at h(e), for peers; nothing waits for it, and what fails is tried again when the next epoch is read. */
export async function keepProof(
  epoch: Epoch,
  deps: {
    readonly proofs: Pick<RosterProofs, 'fromChain'>;
    /** Whether what is proven is what was read. */
    readonly agrees: (epoch: Epoch, state: RosterState | undefined, signal: AbortSignal) => Promise<boolean>;
    readonly kept: (epoch: Epoch) => Uint8Array | undefined;
    readonly keep: (epoch: Epoch, proof: Uint8Array) => void;
    readonly log: Log;
  },
  signal: AbortSignal,
): Promise<void> {
  if (epoch < 0 || deps.kept(epoch) !== undefined) return;
  try {
    const found = await deps.proofs.fromChain(epoch, signal);
    if (!found.ok) return deps.log.debug('roster not proven', { epoch, code: found.code });
    if (await deps.agrees(epoch, found.state, signal)) return deps.keep(epoch, found.proof);
    deps.log.error('endpoint told another roster than it proves', { epoch });
  } catch (error) {
    deps.log.debug('roster not proven', { epoch, code: errorCode(error), message: errorMessage(error) });
  }
}
