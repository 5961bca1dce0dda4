// The scores of the epoch before on chain: propose when elected, else recompute from the named records and attest, else abstain with a
// code (protocol.md 9). The journal holds what is proposed and attested before the chain sees it; it refuses any other payload.

import type { Chain, Signer } from '../chain/types.ts';
import type { AbstainCode } from '../consensus/attest.ts';
import type { NodeScore } from '../consensus/commitment.ts';
import type { Journal, Slot } from '../store/types.ts';
import type { Epoch, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import { decodeCbor, encodeCbor } from '../util/cbor.ts';
import { encodeArgs } from '../wire/evidence.ts';
import { bigUint, bytes, exactly, type Field, list, readMap, tuple, U32, uint } from '../wire/fields.ts';
import type { Finding } from './dossier.ts';
import { createOwnHotkey } from './own-hotkey.ts';
import type { OwnWatch } from './own-watch.ts';
import type { Proposals } from './proposal.ts';
import type { EpochFacts } from './roster.ts';
import type { Voter } from './vote.ts';

/** What stands on chain for an epoch, seen from this node. */
export type Standing = 'voteless' | 'elected' | 'proposed' | 'proposal' | 'attested' | 'nothing';

export type Check = { readonly ok: true } | { readonly ok: false; readonly code: AbstainCode };

export interface Submission {
  look(epoch: Epoch, signal: AbortSignal): Promise<Standing>;
  /**
   * Submits the scores of `epoch` - 1; throws what the chain or the journal says. False when they cannot be made yet.
   *
   * @param whole only with the second witness of every validator
   */
  propose(epoch: Epoch, whole: boolean, signal: AbortSignal): Promise<boolean>;
  /** Recomputes the proposal of `epoch` and attests to it, or says why not; undefined when it is gone from the chain. */
  check(epoch: Epoch, signal: AbortSignal): Promise<Check | undefined>;
}

export interface SubmissionOptions {
  readonly subnet: SubnetId;
  readonly node: NodeId;
}

export interface SubmissionDeps {
  readonly chain: Pick<Chain, 'electedValidator' | 'node' | 'submission' | 'propose' | 'attest'>;
  readonly hotkey: Signer;
  readonly journal: Journal;
  readonly readFacts: (epoch: Epoch, signal: AbortSignal) => Promise<EpochFacts | undefined>;
  /** Roster peers that answer, others than this node; best first. */
  readonly peersOf: (epoch: Epoch) => readonly PeerId[];
  readonly proposals: Pick<Proposals, 'draft'>;
  readonly voter: Pick<Voter, 'judge'>;
  readonly watch: Pick<OwnWatch, 'sawSubmission' | 'maySign'>;
  /** Hears of the evidence that is proposed or attested. */
  readonly onFinding: (scored: Epoch, found: Finding) => void;
}

const MAX_SEATS = 256;
/** What the chain allows. */
const MAX_ARGS_BYTES = 4096;

/** The payload of the `propose` slot: everything a restart needs to submit the same again. */
interface Bundle {
  readonly scores: readonly NodeScore[];
  readonly args: Uint8Array;
  readonly root: Uint8Array;
}

export function createSubmission(options: SubmissionOptions, deps: SubmissionDeps): Submission {
  const { subnet, node } = options;
  const { chain, journal } = deps;
  const hotkey = createOwnHotkey({ subnet, node, hotkey: deps.hotkey.address }, chain);
  const slot = (kind: 'propose' | 'attest', epoch: Epoch): Slot => ({ subnet, node, epoch, kind });

  /** Facts of the epoch scored; those of the one before are read beside them, since its roster's scores are judged too. */
  async function factsFor(scored: Epoch, signal: AbortSignal): Promise<EpochFacts | undefined> {
    const [facts] = await Promise.all([deps.readFacts(scored, signal), deps.readFacts((scored - 1) as Epoch, signal)]);
    return facts;
  }

  async function make(scored: Epoch, whole: boolean, signal: AbortSignal): Promise<Bundle | undefined> {
    const facts = await factsFor(scored, signal);
    if (facts === undefined) return undefined;
    const draft = await deps.proposals.draft(scored, facts, whole, deps.peersOf(scored), signal);
    if (draft === undefined) return undefined;
    deps.onFinding(scored, draft);
    const { scores, args } = draft;
    return { scores, root: args.root, args: encodeArgs(args, facts.roster.nodes.length) };
  }

  async function check(epoch: Epoch, signal: AbortSignal): Promise<Check | undefined> {
    const scored = (epoch - 1) as Epoch;
    const submitted = await chain.submission(subnet, epoch, undefined, signal);
    if (submitted === undefined) return undefined;
    const facts = await factsFor(scored, signal);
    if (facts === undefined) return { ok: false, code: 'ROSTER_UNAVAILABLE' };
    const verdict = await deps.voter.judge(scored, facts, submitted, signal);
    if (!verdict.ok) return verdict;
    deps.onFinding(scored, verdict);
    journal.claim(slot('attest', epoch), verdict.root);
    const send = () => chain.attest(deps.hotkey, subnet, epoch, verdict.root, { signal });
    await hotkey.duty(epoch, send, signal);
    return { ok: true };
  }

  return {
    async look(epoch, signal) {
      const [proposer, submitted] = await Promise.all([
        chain.electedValidator(subnet, epoch, undefined, signal),
        chain.submission(subnet, epoch, undefined, signal),
      ]);
      if (submitted !== undefined) deps.watch.sawSubmission(epoch, submitted);
      if (!deps.watch.maySign(epoch) || hotkey.isReplaced(epoch)) return 'voteless';
      if (submitted === undefined)
        return proposer === node ? 'elected' : proposer === undefined ? 'voteless' : 'nothing';
      if (submitted.proposer === node) return 'proposed';
      if (submitted.attests.some(({ nodeId }) => nodeId === node)) return 'attested';
      return submitted.validators.includes(node) ? 'proposal' : 'voteless';
    },
    async propose(epoch, whole, signal) {
      const scored = (epoch - 1) as Epoch;
      const before = journal.claimed(slot('propose', epoch));
      const made = before === undefined ? await make(scored, whole, signal) : decodeBundle(before);
      if (made === undefined) return false;
      journal.claim(slot('propose', epoch), encodeBundle(made));
      const { scores, args, root } = made;
      const send = () => chain.propose(deps.hotkey, { subnet, epoch, scores, args, attestData: root }, { signal });
      await hotkey.duty(epoch, send, signal);
      return true;
    },
    check,
  };
}

function encodeBundle({ scores, args, root }: Bundle): Uint8Array {
  return encodeCbor({ v: 1, s: scores.map(({ nodeId, score }) => [nodeId, score]), a: args, r: root });
}

const SCORE_PAIR = tuple(uint(U32) as Field<NodeId>, bigUint((1n << 64n) - 1n));

/** `saved` came from the own journal; it is parsed strictly all the same. */
function decodeBundle(saved: Uint8Array): Bundle {
  const pairOf: Field<NodeScore> = (value) => {
    const [nodeId, score] = SCORE_PAIR(value);
    return { nodeId, score };
  };
  const shape = { v: exactly(1), s: list(pairOf, MAX_SEATS), a: bytes(0, MAX_ARGS_BYTES), r: bytes(32) };
  const map = readMap(decodeCbor(saved), shape);
  return { scores: map.s, args: map.a, root: map.r };
}
