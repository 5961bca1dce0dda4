// Looks at what hosters served (protocol.md 13): asks each for its receipts, draws some by a lot that nobody else can foresee, and computes
// their segments again. Gives verdicts; what they are worth is the score's affair.

import type { Overlay } from '../p2p/types.ts';
import { type NodeId, ONE, type PeerId, type ShardIndex } from '../types/ids.ts';
import type { AuditVerdict } from '../types/record.ts';
import { withDeadline } from '../util/async.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { Verify } from '../wire/envelope.ts';
import { MAX_FRAME_BYTES } from '../wire/frame.ts';
import { decodeReceipt, type Receipt, receiptHash, type Signed } from '../wire/receipt.ts';
import type { Handed } from './handed.ts';
import { belongs, type Finding, type Judged, type JudgedShard, judgeReceipt } from './judge.ts';
import { LOT_BITS, lotOf } from './lot.ts';
import {
  AUDIT_PROTOCOL,
  type AuditRequest,
  decodeBorders,
  decodeListed,
  decodeRows,
  decodeRun,
  encodeAuditRequest,
  type Listed,
  type RowsAnswer,
  type RunAnswer,
} from './protocol.ts';
import { ID_BYTES, type ReplayEngine, type ReplayModel } from './replay.ts';
import { judgeRun } from './run-judge.ts';

const ASK_MS = 10_000;
/** Segments computed in one epoch; a record has room for 64 verdicts. */
const MAX_JUDGED = 32;

export interface AuditorOptions {
  readonly model: ReplayModel;
  readonly shards: readonly JudgedShard[];
  /** Shards that this node holds. */
  readonly holds: readonly ShardIndex[];
}

export interface AuditorDeps {
  readonly overlay: Pick<Overlay, 'request'>;
  readonly engine: ReplayEngine;
  readonly verify: Verify;
  /** 32 random bytes that nobody else knows. */
  readonly secret: Uint8Array;
  /** What clients have handed over. */
  readonly handed?: Handed;
  readonly log: Log;
}

export interface Accused {
  readonly node: NodeId;
  readonly peer: PeerId;
}

export interface Auditor {
  /**
   * Verdicts on a share of what these nodes served lately, each receipt once in the life of this auditor. Ends early with what there is
   * when the signal aborts; never throws.
   *
   * @param rate share of receipts that are judged, of ONE
   */
  audit(nodes: readonly Accused[], rate: bigint, signal: AbortSignal): Promise<readonly AuditVerdict[]>;
}

const NOT_HANDED: Finding = { at: 'unclear', why: 'what was computed is not handed over' };

interface Drawn {
  readonly accused: Accused;
  readonly hop: number;
  readonly receipt: Signed<Receipt>;
  readonly hash: Uint8Array;
  readonly lot: bigint;
}

export function createAuditor({ model, shards, holds }: AuditorOptions, deps: AuditorDeps): Auditor {
  const { overlay, engine, verify, secret, handed, log } = deps;
  const judgedBefore = createSeen();

  async function ask(peer: PeerId, request: AuditRequest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const options = { maxFrameBytes: MAX_FRAME_BYTES, signal: withDeadline(signal, ASK_MS) };
    try {
      return await overlay.request(peer, AUDIT_PROTOCOL, encodeAuditRequest(request), options);
    } catch (error) {
      log.debug('no answer to an audit', { peer, ask: request.ask, code: errorCode(error) });
      return undefined;
    }
  }

  async function listOf(accused: Accused, signal: AbortSignal): Promise<readonly Listed[]> {
    const body = await ask(accused.peer, { ask: 'list' }, signal);
    const listed = body === undefined ? undefined : decodeListed(body);
    return listed?.ok === true ? listed.value : [];
  }

  /** A receipt of this node for shards that are held here, when the lot falls on it. */
  function drawn(accused: Accused, { hop, receipt: bytes }: Listed, rate: bigint): readonly Drawn[] {
    const parsed = decodeReceipt(bytes);
    if (!parsed.ok) return [];
    const receipt = parsed.value;
    const { from, to, manifest } = receipt.value;
    const hash = receiptHash(bytes);
    const lot = lotOf(secret, hash);
    if (lot * ONE >= rate << LOT_BITS || judgedBefore.has(hash)) return [];
    for (let shard = from; shard < to; shard = (shard + 1) as ShardIndex) if (!holds.includes(shard)) return [];
    if (manifest !== model.hash || !verify(accused.peer, receipt.message, receipt.signature)) return [];
    return [{ accused, hop, receipt, hash, lot }];
  }

  async function rowsOf(
    { accused, hop, receipt: { value } }: Drawn,
    signal: AbortSignal,
  ): Promise<RowsAnswer | undefined> {
    const { session, position, count } = value;
    const body = await ask(accused.peer, { ask: 'rows', session, hop, end: position + count }, signal);
    const rows = body === undefined ? undefined : decodeRows(body);
    return rows?.ok === true ? rows.value : undefined;
  }

  async function tensorsOf(
    { accused, hop, receipt: { value } }: Drawn,
    side: 'taken' | 'given',
    signal: AbortSignal,
  ): Promise<RunAnswer | undefined> {
    const { session, position: run } = value;
    const body = await ask(accused.peer, { ask: 'run', session, hop, run, side }, signal);
    const answer = body === undefined ? undefined : decodeRun(body);
    return answer?.ok === true ? answer.value : undefined;
  }

  async function bordersOf(
    { peer, hop, receipt }: Pick<Judged, 'peer' | 'hop' | 'receipt'>,
    signal: AbortSignal,
  ): Promise<readonly Float32Array[] | undefined> {
    const { session, position, count } = receipt;
    const body = await ask(peer, { ask: 'borders', session, hop, position, count }, signal);
    const borders = body === undefined ? undefined : decodeBorders(body);
    return borders?.ok === true ? borders.value : undefined;
  }

  const judging = { engine, model, shards, verify, bordersOf };

  async function findRows(one: Drawn, signal: AbortSignal): Promise<Finding> {
    const { accused, hop, receipt } = one;
    const answer = handedRows(one) ?? (await rowsOf(one, signal));
    if (answer === undefined) return NOT_HANDED;
    return judgeReceipt({ peer: accused.peer, hop, receipt: receipt.value, answer }, judging, signal);
  }

  /** What its client says that it took, when that is what its receipt says. Not of the last hop: whose word on sampling would count? */
  function handedRows({ accused, hop, receipt: { value } }: Drawn): RowsAnswer | undefined {
    const rows = hop === 0 && value.to < model.shardCount ? handed?.rowsOf(accused.peer, value.session) : undefined;
    if (rows === undefined) return undefined;
    const end = (value.position + value.count) * ID_BYTES;
    const answer = { request: rows.request, rows: rows.rows.subarray(0, end), drawn: [] };
    return belongs({ peer: accused.peer, hop, receipt: value, answer }, judging) ? answer : undefined;
  }

  async function findRun(one: Drawn, signal: AbortSignal): Promise<Finding> {
    const { accused, hop, receipt } = one;
    const taken = await tensorsOf(one, 'taken', signal);
    const given = taken === undefined ? undefined : await tensorsOf(one, 'given', signal);
    if (taken === undefined || given === undefined) return NOT_HANDED;
    const { request } = taken;
    return judgeRun({ peer: accused.peer, hop, receipt: receipt.value, request, taken, given }, judging, signal);
  }

  /** Undefined when nobody can tell. */
  async function judge(one: Drawn, signal: AbortSignal): Promise<AuditVerdict | undefined> {
    const { accused, hash, receipt } = one;
    const finding = await (model.inputs === undefined ? findRows(one, signal) : findRun(one, signal));
    if (finding.at === 'unclear') {
      log.debug('nobody can tell', { node: accused.node, why: finding.why });
      return undefined;
    }
    judgedBefore.add(hash);
    const bad = finding.at === 'bad';
    const shard = finding.at === 'bad' ? finding.shard : receipt.value.from;
    if (finding.at === 'bad') log.warn('an audit found fault', { node: accused.node, shard, why: finding.why });
    return { accused: accused.node, shard, segment: hash, bad };
  }

  return {
    async audit(nodes, rate, signal) {
      const lists = await Promise.all(
        nodes.map(async (accused) => ({ accused, listed: await listOf(accused, signal) })),
      );
      const drawnOnes = lists
        .flatMap(({ accused, listed }) => {
          const all = [...listed, ...(handed?.of(accused.peer) ?? [])];
          return distinct(all).flatMap((one) => drawn(accused, one, rate));
        })
        .sort((a, b) => (a.lot < b.lot ? -1 : 1))
        .slice(0, MAX_JUDGED);
      const verdicts: AuditVerdict[] = [];
      for (const one of drawnOnes) {
        if (signal.aborted) break;
        try {
          const verdict = await judge(one, signal);
          if (verdict !== undefined) verdicts.push(verdict);
        } catch (error) {
          log.info('a receipt could not be judged', { node: one.accused.node, error: errorMessage(error) });
        }
      }
      handed?.turn();
      return verdicts;
    },
  };
}

/** Clients hand over what hosters list, too. */
function distinct(all: readonly Listed[]): readonly Listed[] {
  return [...new Map(all.map((one) => [Buffer.from(one.receipt).toString('base64'), one])).values()];
}

/** Receipts judged lately: they are listed for two epochs. */
const MAX_SEEN = 4_096;

function createSeen() {
  const seen = new Set<string>();
  return {
    has: (hash: Uint8Array) => seen.has(Buffer.from(hash).toString('hex')),
    add(hash: Uint8Array) {
      seen.add(Buffer.from(hash).toString('hex'));
      for (const oldest of seen) {
        if (seen.size <= MAX_SEEN) return;
        seen.delete(oldest);
      }
    },
  };
}
