// Anybody's check of an epoch (protocol.md 9, 10): what stands on chain is recomputed from records that peers and the DHT hand over. Trusts
// the chain's endpoint for the chain, and nobody else: every record is judged by its signature, all of them by the root on chain, and who was
// in the epoch by the state root of its first block, where anybody has the proof.

import type { Chain, Submission as Submitted } from '../chain/types.ts';
import { type AbstainCode, keptByChain } from '../consensus/attest.ts';
import type { Fault } from '../consensus/explain.ts';
import { type ClockParams, firstBlock } from '../consensus/phase.ts';
import type { Overlay } from '../p2p/types.ts';
import type { Journal } from '../store/types.ts';
import type { BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import { withDeadline } from '../util/async.ts';
import { equalBytes, fromHex } from '../util/bytes.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { formatRecordKey } from '../wire/record-key.ts';
import { type Dossier, knownOf } from './dossier.ts';
import { createGather, listsOf } from './gather.ts';
import { createProposals } from './proposal.ts';
import { createRecords, type Verify } from './records.ts';
import { createRosters, type EpochFacts } from './roster.ts';
import {
  createRosterProofs,
  type ProofFound,
  type RefusedProof,
  type RosterProofs,
  type Unproven,
} from './roster-proof.ts';
import { createRules } from './rules.ts';
import { createVoter, type Voter } from './vote.ts';
import type { ManifestOf } from './work.ts';

export interface VerifierOptions {
  readonly genesis: Hash;
  readonly subnet: SubnetId;
  readonly clock: ClockParams;
}

export interface VerifierDeps {
  readonly chain: Pick<
    Chain,
    | 'head'
    | 'blockHash'
    | 'subnet'
    | 'nodes'
    | 'electable'
    | 'electedValidator'
    | 'submission'
    | 'proveRoster'
    | 'provenRoster'
  >;
  readonly overlay: Pick<Overlay, 'request' | 'getRecord' | 'peers'>;
  /** What is read of the chain is remembered there. */
  readonly journal: Pick<Journal, 'fact' | 'saveFact'>;
  readonly manifestOf: ManifestOf;
  readonly verify: Verify;
  readonly log: Log;
}

/** Why nothing could be said. */
export type Obstacle = AbstainCode | 'MODEL_NEEDED';

export interface VerifiedNode {
  readonly node: NodeId;
  readonly onChain: bigint;
  /** What the evidence gives; 0 also for who has left since. */
  readonly recomputed: bigint;
  readonly faults: readonly Fault[];
}

/** How it is known who was in the epoch. */
export interface RosterSource {
  /** Proven by state roots; what the chain's endpoint says; or what nodes say alike, because the endpoint has forgotten that state. */
  readonly roster: 'proven' | 'chain' | 'nodes';
  /** Where it is not proven: why. */
  readonly unproven: Unproven | undefined;
  /** What nodes handed over as proof and is none. */
  readonly refused: readonly RefusedProof[];
}

/** `scored` is the epoch before that of the submission. */
export type Verdict =
  /** Nobody was elected, or who was submitted nothing. */
  | { readonly verdict: 'nothing'; readonly elected: NodeId | undefined }
  | ({
      readonly verdict: 'agrees' | 'differs';
      readonly proposer: NodeId;
      readonly nodes: readonly VerifiedNode[];
    } & RosterSource)
  /** The submission breaks a rule by itself. */
  | { readonly verdict: 'invalid'; readonly proposer: NodeId; readonly code: AbstainCode }
  /** Something that is needed cannot be had; `manifest` names the model of that epoch. */
  | {
      readonly verdict: 'unknown';
      readonly proposer: NodeId;
      readonly code: Obstacle;
      readonly manifest: string | undefined;
    };

export interface Verifier {
  /** @param epoch of the submission; `onStep` hears what is done next */
  verify(epoch: Epoch, onStep: (step: VerifyStep) => void, signal: AbortSignal): Promise<Verdict>;
}

export type VerifyStep = 'chain' | 'roster' | 'records' | 'evidence' | 'dht' | 'scores';

/** Nobody's id: a verifier has no seat. */
const NOBODY = 0xffff_ffff as NodeId;
/** Each that is asked for everything tells what the others lack. */
const ASKED_PEERS = 3;
/** Where nobody has a proof: one that lies is found out by any that does not. */
const ASKED_FOR_FACTS = 8;
/** kad-dht looks for a key that nobody has until it gives up. */
const DHT_MS = 3_000;
const DHT_AT_ONCE = 16;
/** These say that the submission is false, whatever else is not known. */
const INVALID: readonly AbstainCode[] = ['PROPOSAL_UNREADABLE', 'PROPOSAL_FEW_WITNESSES', 'PROPOSAL_OMITS'];

export function createVerifier(options: VerifierOptions, deps: VerifierDeps): Verifier {
  const { subnet, clock } = options;
  const { chain, overlay, log } = deps;
  const genesis = fromHex(options.genesis);
  const rosters = createRosters(options, { chain, journal: deps.journal, log });
  /** Each is the one before the next: asked for once. */
  const proven = new Set<Epoch>();
  /** Known from what nodes say alike. */
  const alleged = new Set<Epoch>();
  const rules = createRules({ genesis, subnet }, { factsOf: rosters.known, manifestOf: deps.manifestOf });

  /** By proof, if there is one of each epoch that matters; else as the endpoint or the nodes tell it. */
  async function readFacts(scored: Epoch, signal: AbortSignal): Promise<Told | undefined> {
    const ask = (epoch: Epoch) => desk(epoch).gather.proofs(epoch, overlay.peers(), signal);
    const proofs = createRosterProofs(options, { chain, ask, log });
    const unproven = await prove(scored, proofs, signal);
    const roster = unproven === undefined ? 'proven' : await believe(scored, signal);
    const facts = rosters.known(scored);
    return facts && roster && { facts, source: { roster, unproven, refused: proofs.refused() } };
  }

  /** Undefined when all is proven, else why the first that is not is not. */
  async function prove(scored: Epoch, proofs: RosterProofs, signal: AbortSignal): Promise<Unproven | undefined> {
    let unproven: Unproven | undefined;
    for (const epoch of epochsBehind(scored).filter((one) => !proven.has(one))) {
      const own = await proofs.fromChain(epoch, signal).catch(elsewhere);
      const found = own.ok ? own : await proofs.fromPeers(epoch, signal);
      if (found.ok && (await rosters.adoptProven(epoch, found.state, signal))) {
        proven.add(epoch);
        continue;
      }
      const codes = [found, own].flatMap((one) => (one.ok ? [] : [one.code]));
      unproven ??= codes.find((code) => code !== 'PROOF_MISSING') ?? 'PROOF_MISSING';
    }
    return unproven;
  }

  async function believe(scored: Epoch, signal: AbortSignal): Promise<'chain' | 'nodes' | undefined> {
    try {
      await rosters.read((scored - 1) as Epoch, signal);
      await rosters.read(scored, signal);
      return epochsBehind(scored).some((epoch) => alleged.has(epoch)) ? 'nodes' : 'chain';
    } catch (error) {
      if (errorCode(error) !== 'CHAIN_STATE_DISCARDED') throw error;
      return (await askFacts(scored, signal)) ? 'nodes' : undefined;
    }
  }

  /** Where the endpoint has forgotten the states: what nodes tell of them, if all who answer tell the same. */
  async function askFacts(scored: Epoch, signal: AbortSignal): Promise<boolean> {
    const { gather } = desk(scored);
    for (const epoch of epochsBehind(scored)) {
      if (rosters.saved(epoch) !== undefined) continue;
      const peers = overlay.peers().slice(0, ASKED_FOR_FACTS);
      const told = await Promise.all(peers.map((peer) => gather.facts(epoch, peer, signal)));
      const [first, ...others] = told.filter((one) => one !== undefined);
      if (first === undefined || others.some((one) => !equalBytes(one, first))) return false;
      if (!(await rosters.adopt(epoch, first, signal))) return false;
      alleged.add(epoch);
    }
    return true;
  }

  /** Those who had a seat first. */
  function peersOf(scored: Epoch): readonly PeerId[] {
    const connected = overlay.peers();
    const seats = new Set(rosters.known(scored)?.roster.nodes.map(({ peer }) => peer));
    return [...connected.filter((peer) => seats.has(peer)), ...connected.filter((peer) => !seats.has(peer))];
  }

  function desk(scored: Epoch) {
    const rosterOf = (epoch: Epoch) => rosters.known(epoch)?.roster;
    const records = createRecords({ genesis, subnet, node: NOBODY, clock }, { rosterOf, verify: deps.verify });
    // The last block in which the epoch's evidence could be judged: every record of it is of its time.
    records.observe((firstBlock((scored + 2) as Epoch, clock) - 1) as BlockNumber);
    const gather = createGather({ overlay, records, log });
    const proposals = createProposals({ records, rules, gather });
    const voter = createVoter({ records, rules, gather, proposals, peersOf });
    return { records, gather, voter };
  }

  /** Asks the DHT for every record that the epoch's evidence may name. */
  async function searchDht(scored: Epoch, records: ReturnType<typeof desk>['records'], signal: AbortSignal) {
    const keys = listsOf(scored).flatMap(({ kind, epoch }) =>
      (rosters.known(epoch)?.roster.nodes ?? [])
        .filter(({ id }) => records.first(kind, epoch, id) === undefined)
        .map(({ id }) => formatRecordKey({ kind, subnet, epoch, node: id })),
    );
    const next = keys.values();
    const search = async (): Promise<void> => {
      for (const key of next) {
        const value = await overlay.getRecord(key, withDeadline(signal, DHT_MS)).catch(() => undefined);
        signal.throwIfAborted();
        if (value !== undefined) records.admit(value, 'dht');
      }
    };
    await Promise.all(Array.from({ length: DHT_AT_ONCE }, search));
  }

  async function findEvidence(
    { scored, facts, submitted }: Case,
    { records, gather, voter }: { readonly voter: Voter } & ReturnType<typeof desk>,
    onStep: (step: VerifyStep) => void,
    signal: AbortSignal,
  ): Promise<Dossier | AbstainCode> {
    onStep('records');
    await gather.evidence(scored, peersOf(scored).slice(0, ASKED_PEERS), signal);
    onStep('evidence');
    const found = await voter.examine(scored, facts, submitted, signal);
    if (typeof found !== 'string' || INVALID.includes(found)) return found;
    onStep('dht');
    await searchDht(scored, records, signal);
    return voter.examine(scored, facts, submitted, signal);
  }

  return {
    async verify(epoch, onStep, signal) {
      const scored = (epoch - 1) as Epoch;
      onStep('chain');
      const [elected, submitted] = await Promise.all([
        chain.electedValidator(subnet, epoch, undefined, signal),
        chain.submission(subnet, epoch, undefined, signal),
      ]);
      if (submitted === undefined) return { verdict: 'nothing', elected };
      const { proposer } = submitted;
      const unknown = (code: Obstacle, manifest?: string): Verdict => ({
        verdict: 'unknown',
        proposer,
        code,
        manifest,
      });
      onStep('roster');
      const told = await readFacts(scored, signal);
      if (told === undefined) return unknown('ROSTER_UNAVAILABLE');
      const { facts, source } = told;
      const place = desk(scored);
      const found = await findEvidence({ scored, facts, submitted }, place, onStep, signal);
      if (typeof found === 'string') {
        return INVALID.includes(found) ? { verdict: 'invalid', proposer, code: found } : unknown(found);
      }
      onStep('scores');
      const scores = facts.roster.live ? rules.compute(scored, found.named) : [];
      if (scores === undefined) return unknown('MODEL_NEEDED', facts.policy?.manifest);
      const known = knownOf(scored, facts.roster, found, place.records);
      const faults = rules.explain(scored, found.named, known) ?? new Map<NodeId, readonly Fault[]>();
      const kept = keptByChain(scores, { ...submitted, epoch });
      const of = (pairs: Submitted['scores'], node: NodeId) => pairs.find(({ nodeId }) => nodeId === node)?.score ?? 0n;
      const ids = new Set([...facts.roster.nodes.map(({ id }) => id), ...submitted.scores.map(({ nodeId }) => nodeId)]);
      const nodes = [...ids]
        .sort((a, b) => a - b)
        .map((node): VerifiedNode => {
          const own = { onChain: of(submitted.scores, node), recomputed: of(kept, node) };
          return { node, ...own, faults: faults.get(node) ?? [] };
        });
      const agrees = nodes.every(({ onChain, recomputed }) => onChain === recomputed);
      return { verdict: agrees ? 'agrees' : 'differs', proposer, ...source, nodes };
    },
  };
}

interface Told {
  readonly facts: EpochFacts;
  readonly source: RosterSource;
}

/** Whose rosters an epoch's scores rest on, and the policy by which it was run. */
function epochsBehind(scored: Epoch): readonly Epoch[] {
  return ([scored - 2, scored - 1, scored] as Epoch[]).filter((epoch) => epoch >= 0);
}

/** An endpoint that cannot prove is no reason to ask nobody; one that cannot be reached is. */
function elsewhere(error: unknown): ProofFound {
  if (!UNABLE.includes(errorCode(error))) throw error;
  return { ok: false, code: 'PROOF_MISSING' };
}

const UNABLE: readonly string[] = ['CHAIN_STATE_DISCARDED', 'CHAIN_FAULT', 'CHAIN_TIMEOUT'];

interface Case {
  readonly scored: Epoch;
  readonly facts: EpochFacts;
  readonly submitted: Submitted;
}
