// This node's duties in each epoch: follows best heads, steps the duty (consensus/duty.ts) and carries its effects out. Every outcome is
// an event with its reason; what goes wrong with peers, chain or engine is logged and counted. One thing ends it: somebody else signs with
// its keys.

import { isDeepStrictEqual } from 'node:util';
import type { Chain, Head, Signer } from '../chain/types.ts';
import { type Duty, type DutyEvent, IDLE, type Outcome, type Signed, step, type Work } from '../consensus/duty.ts';
import type { Fault } from '../consensus/explain.ts';
import { type ClockParams, phaseAt, windowsOf } from '../consensus/phase.ts';
import type { Engine, Rows } from '../engine/types.ts';
import type { Identity, Overlay, Verdict } from '../p2p/types.ts';
import type { Auditor } from '../receipts/auditor.ts';
import type { Archive, Journal } from '../store/types.ts';
import type { BlockNumber, Epoch, Hash, NodeId, PeerId, ShardIndex, SubnetId } from '../types/ids.ts';
import type { EpochKind } from '../types/record.ts';
import { fromHex } from '../util/bytes.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { decodeRecord } from '../wire/record.ts';
import { formatRecordKey, keyOfBody, parseRecordKey } from '../wire/record-key.ts';
import { createAudits } from './audit.ts';
import { type Finding, knownOf } from './dossier.ts';
import { createEffects } from './effects.ts';
import { answer, decodeRequest, EVIDENCE_PROTOCOL, protocolOptions } from './evidence-protocol.ts';
import { createGather } from './gather.ts';
import { createGuests } from './guests.ts';
import { createLibrary, KEPT_EPOCHS } from './library.ts';
import { createOpenChallenge } from './open-challenge.ts';
import { createOwnWatch, NO_WATCH } from './own-watch.ts';
import { createPen, type Pen } from './pen.ts';
import { createProposals } from './proposal.ts';
import { type Channel, type Completeness, createRecords, type Records, type Verify } from './records.ts';
import { createRosters } from './roster.ts';
import { createRosterProofs, keepProof } from './roster-proof.ts';
import { createRules } from './rules.ts';
import { createScoring } from './scoring.ts';
import { createSubmission } from './submission.ts';
import { createTasks } from './tasks.ts';
import { recordTopic } from './topic.ts';
import { createVoter } from './vote.ts';
import { createWitness } from './witness.ts';
import { createWork, type ManifestOf } from './work.ts';

export interface ValidatorOptions {
  readonly genesis: Hash;
  readonly subnet: SubnetId;
  readonly node: NodeId;
  /** From the chain: the subnet's slot and the epoch length. */
  readonly clock: ClockParams;
  /** Shards that this node serves and answers challenges for at the start; those that it may be drawn for when it audits; none for other attestors. */
  readonly shards: readonly ShardIndex[];
  /** Serves nobody, and confirms the answers of the shards that it is drawn for. */
  readonly audits?: boolean;
  /** Whether it stops when somebody else signs with its keys, as `tessera run` does. Adversaries in tests sign twice themselves. */
  readonly watchesKeys?: boolean;
}

export interface ValidatorDeps {
  readonly chain: Chain;
  readonly overlay: Overlay;
  /** Needed by a hoster, with its shards loaded. */
  readonly engine?: Pick<Engine, 'challenge'>;
  /** Of a node that looks at what others served. */
  readonly auditor?: Auditor;
  readonly journal: Journal;
  /** For peers that ask later; without it only the last epochs are told. */
  readonly archive?: Archive;
  readonly identity: Identity;
  readonly hotkey: Signer;
  readonly manifestOf: ManifestOf;
  readonly verify: Verify;
  readonly log: Log;
}

/** What listeners hear: every outcome with its reason, each head once it was acted on, and operating failures. */
export type ValidatorEvent =
  | Outcome
  | Judged
  | { readonly type: 'head'; readonly block: BlockNumber; readonly epoch: Epoch | undefined }
  | { readonly type: 'failed'; readonly what: string; readonly code: string; readonly message: string };

/** What the evidence of an epoch that this node proposed or attested says of this node itself. */
export interface Judged {
  readonly type: 'judged';
  /** The epoch of the submission: its scores are of the one before. */
  readonly epoch: Epoch;
  readonly score: bigint;
  /** Where the score is 0: why. */
  readonly faults: readonly Fault[];
}

export interface ValidatorStatus {
  /** The last best head that was acted on. */
  readonly block: BlockNumber | undefined;
  readonly duty: Duty;
  /** Outcomes of the last epochs, oldest first. */
  readonly epochs: readonly { readonly epoch: Epoch; readonly outcomes: readonly (Outcome | Judged)[] }[];
  /** Records refused since the start, by code. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Records of others since the start, by the channel that brought them first. */
  readonly firstBy: Readonly<Record<Channel, number>>;
  /** Of the last epoch that is over. */
  readonly completeness: Completeness;
  /** Jobs under way. */
  readonly busy: number;
}

export interface Validator {
  /** Follows the chain until the signal aborts; throws SIGNED_ELSEWHERE, and nothing else, when another one signs with its keys. Once per validator. */
  run(signal: AbortSignal): Promise<void>;
  status(): ValidatorStatus;
  /** Returns what ends the subscription. */
  on(listener: (event: ValidatorEvent) => void): () => void;
  /** For the overlay's DHT rules: is this value a record that belongs under this key? Announcements are none of ours: 'ignore'. */
  judge(key: string, value: Uint8Array): Verdict;
  /** From the next challenge on answers for these shards. */
  hold(shards: readonly ShardIndex[]): void;
  /** Whether this epoch's challenge needs the shards no more: it is answered, or not to be answered. */
  mayUnload(): boolean;
  /** What enters a shard in the challenge that is open now: a hoster does not compute it for others (protocol.md 12). */
  openChallenge(shard: ShardIndex): Rows | undefined;
}

/** Epochs whose outcomes status() tells. */
const SHOWN_EPOCHS = 8;

export function createValidator(options: ValidatorOptions, deps: ValidatorDeps): Validator {
  const { subnet, node, clock } = options;
  let { shards } = options;
  const { chain, overlay, journal, identity, log } = deps;
  const { audits = false } = options;
  const ids = { genesis: fromHex(options.genesis), subnet, node, peer: identity.peer, shards: () => shards, audits };
  const listeners = new Set<(event: ValidatorEvent) => void>();
  const shown = new Map<Epoch, (Outcome | Judged)[]>();
  const params = { windows: windowsOf(clock.epochLength), hosts: shards.length > 0 };
  let duty: Duty = IDLE;
  let block: BlockNumber | undefined;
  let ending: AbortSignal | undefined;
  const halting = new AbortController();

  const proofs = createRosterProofs(options, {
    chain,
    ask: (epoch, signal) => gather.proofs(epoch, overlay.peers(), signal),
    log,
  });
  const keep = (epoch: Epoch, proof: Uint8Array): void => library.keepProof(epoch, proof);
  const rosters = createRosters(options, { chain, journal, proofs: { of: proofs, keep }, log });
  const factsOf = rosters.known;
  const library = createLibrary({ records: () => records, archive: deps.archive, factsOf: rosters.saved });
  const watch =
    options.watchesKeys === true
      ? createOwnWatch({ subnet, node, clock }, { journal, onElsewhere: halt, log })
      : NO_WATCH;
  const records: Records = createRecords(
    { genesis: ids.genesis, subnet, node, clock },
    {
      rosterOf: (epoch) => factsOf(epoch)?.roster,
      verify: deps.verify,
      onKept: library.keepRecord,
      stored: library.stored,
      onOwn: watch.sawRecord,
    },
  );
  const guests = createGuests();
  const open = createOpenChallenge({ genesis: ids.genesis, subnet, clock }, { factsOf, manifestOf: deps.manifestOf });
  const pen = createPen({ subnet, node }, { journal, identity, demand: watch.demand });
  const gather = createGather({ overlay, records, log });
  const rules = createRules(ids, { factsOf, manifestOf: deps.manifestOf });
  const scoring = createScoring(ids, { factsOf, records, rules, pen });
  const work = createWork(ids, { engine: deps.engine, manifestOf: deps.manifestOf, pen, log });
  const auditing = createAudits(ids, { auditor: deps.auditor, pen });
  const witness = createWitness(ids, { factsOf, records, pen });
  const proposals = createProposals({ records, rules, gather });
  const voter = createVoter({ records, rules, gather, proposals, peersOf });
  const submission = createSubmission(
    { subnet, node },
    { chain, hotkey: deps.hotkey, journal, readFacts: rosters.read, peersOf, proposals, voter, watch, onFinding },
  );
  const tasks = createTasks(fail);
  const effects = createEffects(
    { subnet, node },
    {
      overlay,
      rosters,
      records,
      work,
      witness,
      scoring,
      proposals,
      submission,
      audits: auditing,
      gather,
      tasks,
      peersOf,
      keepProofs,
      dispatch,
      report,
      fail,
      now: () => block,
      log,
    },
  );

  /** A listener that throws must not cost this node its duties. */
  function emit(event: ValidatorEvent): void {
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        log.error('listener failed', { event: event.type, message: errorMessage(error) });
      }
    }
  }

  function fail(what: string, error: unknown): void {
    if (ending?.aborted) return;
    const facts = { what, code: errorCode(error), message: errorMessage(error) };
    log.warn('duty failed', facts);
    emit({ type: 'failed', ...facts });
  }

  /** Tells an outcome once, however often it is come to: what a reorg undid is done again in silence. */
  function report(outcome: Outcome | Judged): void {
    const told = shown.get(outcome.epoch) ?? [];
    if (told.some((one) => isDeepStrictEqual(one, outcome))) return;
    shown.set(outcome.epoch, [...told, outcome]);
    while (shown.size > SHOWN_EPOCHS) shown.delete(Math.min(...shown.keys()) as Epoch);
    const { type, ...facts } = outcome;
    log.info(type, facts);
    emit(outcome);
  }

  /** Nothing is signed from here on; the run ends. */
  function halt(error: Error): void {
    fail('keys', error);
    halting.abort(error);
  }

  /** Evidence that this node proposes or attests: kept for peers, and said what it means for this node. */
  function onFinding(scored: Epoch, found: Finding): void {
    library.keepNamed(scored, found.ids);
    const roster = factsOf(scored)?.roster;
    if (roster === undefined || !roster.live || !roster.nodes.some(({ id }) => id === node)) return;
    const epoch = (scored + 1) as Epoch;
    const score = found.scores.find(({ nodeId }) => nodeId === node)?.score ?? 0n;
    const explain = () => rules.explain(scored, found.named, knownOf(scored, roster, found, records))?.get(node);
    report({ type: 'judged', epoch, score, faults: score > 0n ? [] : (explain() ?? []) });
  }

  function dispatch(event: DutyEvent, signal: AbortSignal): Promise<void> {
    const next = step(duty, event, params);
    duty = next.duty;
    return effects.perform(next.effects, signal);
  }

  /** Other seats of the roster of an epoch that are connected (all others when none is), starting behind this node so that questions spread. */
  function peersOf(epoch: Epoch): readonly PeerId[] {
    const seats =
      (factsOf(epoch)?.roster ?? factsOf((epoch - 1) as Epoch)?.roster)?.nodes.map(({ peer }) => peer) ?? [];
    const at = seats.indexOf(identity.peer);
    const others = [...seats.slice(at + 1), ...seats.slice(0, Math.max(at, 0))];
    const connected = new Set(overlay.peers());
    const near = others.filter((peer) => connected.has(peer));
    return near.length > 0 ? near : others;
  }

  /** What one head brought to fail (a full disk, say) is told, and the next head is acted on all the same. */
  function tryHead(head: Head, signal: AbortSignal): void {
    try {
      onHead(head, signal);
    } catch (error) {
      fail('head', error);
    }
  }

  /** Acts at once; the `head` event follows when what was read for it is known. The loop waits for nothing. */
  function onHead(head: Head, signal: AbortSignal): void {
    const first = block === undefined;
    block = head.number;
    watch.observe(head.number);
    guests.observe(head.number);
    records.observe(head.number);
    open.observe(head);
    const moment = phaseAt(head.number, clock);
    const told = { type: 'head', block: head.number, epoch: moment?.epoch } as const;
    if (moment === undefined) {
      emit(told);
      return;
    }
    const { epoch, offset } = moment;
    if (first) effects.resend([epoch, (epoch - 1) as Epoch], pen, signal);
    const isEntered = duty.at === 'epoch' && duty.epoch === epoch;
    if (!isEntered) forget(epoch);
    const signed = isEntered ? NOTHING_SIGNED : signedIn(epoch, pen);
    const acted = dispatch({ type: 'head', epoch, offset, signed }, signal);
    void acted.then(() => emit(told));
  }

  /** Of what was read for an epoch: kept for who comes when no endpoint has that state any more. */
  async function keepProofs(epoch: Epoch, signal: AbortSignal): Promise<void> {
    if (deps.archive === undefined) return;
    const agrees = rosters.adoptProven;
    const known = { proofs, agrees, kept: library.proof, keep, log };
    for (const one of [epoch - 2, epoch - 1, epoch] as Epoch[]) await keepProof(one, known, signal);
  }

  function forget(now: Epoch): void {
    library.forget(now);
    journal.forget(subnet, Math.max(0, now - KEPT_EPOCHS) as Epoch);
  }

  async function serve(): Promise<void> {
    overlay.subscribe(recordTopic(subnet), async (message) => records.admit(message, 'gossip').verdict);
    await overlay.handleRequest(EVIDENCE_PROTOCOL, protocolOptions(mayAsk), async (body) => {
      const request = decodeRequest(body);
      if (request === undefined) throw new TypeError('unreadable evidence request');
      return answer(request, library);
    });
  }

  function mayAsk(peer: PeerId): boolean {
    return rosters.hasSeat(peer) || guests.admit();
  }

  return {
    async run(until) {
      ending = until;
      const signal = AbortSignal.any([until, halting.signal]);
      try {
        await serve();
        for await (const head of chain.heads('best', signal)) tryHead(head, signal);
      } catch (error) {
        fail('run', error);
      }
      await tasks.settled();
      if (!until.aborted) halting.signal.throwIfAborted();
    },
    status: () => ({
      block,
      duty,
      epochs: [...shown].sort(([a], [b]) => a - b).map(([epoch, outcomes]) => ({ epoch, outcomes })),
      refusals: records.refusals(),
      firstBy: records.firstBy(),
      completeness: records.completeness(duty.at === 'epoch' ? ((duty.epoch - 1) as Epoch) : (0 as Epoch)),
      busy: tasks.count(),
    }),
    on(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    judge(key, value) {
      const named = parseRecordKey(key);
      if (named === undefined || named.kind === 'an') return 'ignore';
      const decoded = decodeRecord(value);
      if (!decoded.ok || keyOfBody(decoded.record.body) !== formatRecordKey(named)) return 'reject';
      return records.admit(value, 'dht').verdict;
    },
    openChallenge: open.input,
    hold(now) {
      shards = now;
    },
    mayUnload: () => duty.at === 'epoch' && !NEEDS_SHARDS.includes(duty.work.at),
  };
}

/** The challenge is still to be answered, or being answered. */
const NEEDS_SHARDS: readonly Work['at'][] = ['waiting', 'inferring'];

/** Not looked at in the middle of an epoch. */
const NOTHING_SIGNED: Signed = {
  pr: false,
  hc: false,
  hr: false,
  wa: false,
  wb: false,
  sc: false,
  lastSc: false,
  sr: false,
};

/** What the journal says at the first head of an epoch. */
function signedIn(epoch: Epoch, pen: Pen): Signed {
  const before = (epoch - 1) as Epoch;
  const has = (kind: EpochKind, of: Epoch): boolean => pen.signed(kind, of) !== undefined;
  return {
    pr: has('pr', epoch),
    hc: has('hc', epoch),
    hr: has('hr', epoch),
    wa: has('wa', epoch),
    wb: has('wb', epoch),
    sc: has('sc', epoch),
    lastSc: has('sc', before),
    sr: has('sr', before),
  };
}
