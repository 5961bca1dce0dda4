// Transactions from signing to inclusion. One queue per account hands out nonces; what was sent is looked for in the blocks themselves, so
// that a lost connection, another endpoint or a reorganization changes nothing: the same bytes are offered again until they are in a block
// or cannot get into one any more: because their time is over, or because a finalized block has used their nonce for another transaction, and
// then the call is signed anew.

import type { Address, BlockNumber, Hash } from '../../types/ids.ts';
import { createMemo, createSerial, raceSignal } from '../../util/async.ts';
import { fromHex } from '../../util/bytes.ts';
import { errorCode } from '../../util/errors.ts';
import { pause, systemTimers } from '../../util/timers.ts';
import {
  chainTimeout,
  extrinsicExpired,
  extrinsicFailed,
  extrinsicRejected,
  extrinsicWouldFail,
  POOL_STALE,
} from '../errors.ts';
import { ChainError, type Head, type Receipt, type Signer, type SubmitOptions } from '../types.ts';
import type { Connection } from './connection.ts';
import type { Link, LinkDeps } from './link.ts';
import { RpcFault } from './rpc-socket.ts';
import type { CallSpec, RuntimeEvent } from './runtime.ts';

export interface Submission {
  /** The call as the pallet names it, for messages. */
  readonly call: string;
  readonly signer: Signer;
  make(connection: Connection): CallSpec;
  /** Blocks that the transaction may live when it is born after `head`; a power of two >= 4; may throw to refuse. */
  period(head: Head): number;
}

export interface Submitter {
  /** Errors: EXTRINSIC_REJECTED, EXTRINSIC_FAILED, EXTRINSIC_EXPIRED, CHAIN_UNREACHABLE, CHAIN_TIMEOUT, the signal's reason. */
  submit(submission: Submission, options?: SubmitOptions): Promise<Receipt>;
}

/** Deadline of handing a transaction over (chain.md 10.2). */
const SUBMIT_MS = 10_000;

/** Between two questions to an endpoint that does not answer. */
const RETRY_MS = 500;

/** A chain that makes no block for this long is not waited for. */
const INCLUSION_MS = 10 * 60_000;

/** Blocks after which bytes that are in no block are offered again: a pool may have dropped them, or this may be another endpoint. */
const OFFER_AGAIN_BLOCKS = 3;

/** Tries with a fresh nonce when another transaction of the account came first: each that fails means that one more of another process got in. */
const NONCE_TRIES = 64;

/** Hashes of blocks that were looked through, per transaction: an era and the forks beside it. */
const MAX_VISITED = 512;

/** Transactions of one account that are handed over at the same time. */
const MAX_FLIGHT = 8;

/** Blocks whose parent, transactions and events are remembered: those in which transactions that wait are looked for. */
const REMEMBERED_BLOCKS = 16;

/** Planck that a transaction offers beside its fee when a pool holds it and no block takes it; twice as much each further time. */
const FIRST_TIP = 10n ** 9n;

/** After so many the tip stays: a block that does not take it for that wants something else. */
const MAX_RAISES = 4;

type Bytes = `0x${string}`;

interface Sent {
  readonly call: string;
  readonly account: Address;
  readonly nonce: number;
  /** What was offered: one nonce, the same call, each with a higher tip than the one before. At most one of them gets into a block. */
  readonly versions: Bytes[];
  withTip(tip: bigint): Bytes;
  readonly birth: Head;
  /** First block in which it cannot be any more. */
  readonly death: number;
}

interface Found {
  readonly block: Head;
  readonly index: number;
  /** The version that got in. */
  readonly bytes: Bytes;
}

interface BlockBody {
  readonly parent: Hash;
  readonly extrinsics: readonly string[];
}

interface Account {
  readonly serial: ReturnType<typeof createSerial>;
  /** Of the next transaction, while some wait; 0 when the chain has to be asked. */
  nextNonce: number;
  /** Transactions that are signed and neither in a block nor given up. */
  waiting: number;
  /** Those of them that are being handed over, the oldest first. */
  readonly flight: Promise<void>[];
}

export function createSubmitter(link: Link, deps: LinkDeps, retryMs: number = RETRY_MS): Submitter {
  const { log, timers = systemTimers } = deps;
  const accounts = new Map<Address, Account>();
  // What many waiting transactions ask about the same blocks is asked once.
  const parents = createMemo<Hash, Head | undefined>(REMEMBERED_BLOCKS, isThere);
  const bodies = createMemo<Hash, BlockBody | undefined>(REMEMBERED_BLOCKS, isThere);
  const eventsOf = createMemo<Hash, readonly RuntimeEvent[]>(REMEMBERED_BLOCKS, isThere);

  const counts = createMemo<string, number | undefined>(REMEMBERED_BLOCKS, isThere);

  function accountOf(address: Address): Account {
    const known = accounts.get(address);
    if (known !== undefined) return known;
    const account = { serial: createSerial(), nextNonce: 0, waiting: 0, flight: [] };
    accounts.set(address, account);
    return account;
  }

  async function submit(submission: Submission, options: SubmitOptions = {}): Promise<Receipt> {
    const { until = 'inBlock', dryRun = false, signal } = options;
    const account = accountOf(submission.signer.address);
    let atLeast = 0;
    for (let left = NONCE_TRIES - 1; ; left--) {
      const { sent, handed } = await account.serial(() => start(submission, account, atLeast, dryRun, signal));
      try {
        await handed;
        return await awaitInclusion(sent, until, signal);
      } catch (error) {
        const reason = takenReason(error);
        if (reason === undefined || left === 0) throw error;
        log.debug('nonce taken, trying again', { call: submission.call, nonce: sent.nonce });
        // What is used is counted by the chain; what only waits may not be.
        atLeast = reason === 'Stale' ? 0 : sent.nonce + 1;
      } finally {
        account.waiting -= 1;
      }
    }
  }

  /**
   * Signs, and begins to hand over: while others of the account wait, the next one is signed before this one is answered. The first one of them
   * is answered before, so that what fails for a cause of the account fails alone.
   */
  async function start(
    submission: Submission,
    account: Account,
    atLeast: number,
    dryRun: boolean,
    signal?: AbortSignal,
  ): Promise<{ readonly sent: Sent; readonly handed: Promise<void> }> {
    if (account.flight.length >= MAX_FLIGHT) await account.flight.shift();
    const isAlone = account.waiting === 0;
    const sent = await sign(submission, account, atLeast, signal);
    // A transaction that follows others of its account in the pool cannot be tried: it comes too early.
    if (dryRun && isAlone) await tryOut(sent, signal);
    account.waiting += 1;
    account.nextNonce = sent.nonce + 1;
    const handed = handOver(sent, signal);
    const over = handed.catch(() => {
      account.nextNonce = 0;
    });
    if (isAlone) await over;
    else account.flight.push(over);
    return { sent, handed };
  }

  async function sign(submission: Submission, account: Account, atLeast: number, signal?: AbortSignal): Promise<Sent> {
    const { call, signer, make, period } = submission;
    const connection = await link.connection(signal);
    const best = link.best.last;
    if (best === undefined) throw chainTimeout('best head', SUBMIT_MS);
    const life = period(best);
    const birth = await parentOf(best, signal);
    // While transactions of our own wait, their count is known here; whoever else uses the account shows in a refusal.
    const own = account.waiting > 0 ? account.nextNonce : 0;
    const nonce = Math.max(atLeast, own > 0 ? own : await readNonce(signer.address, signal));
    const wanted = make(connection);
    const withTip = (tip: bigint) => connection.runtime.extrinsic(wanted, signer, nonce, { birth, period: life }, tip);
    const versions = [withTip(0n)];
    const death = birth.number + life;
    return { call, account: signer.address, nonce, versions, withTip, birth, death };
  }

  /**
   * Where a transaction is born: a block's own hash is not in its state, so one that was born in the best block cannot be tried there, and is
   * refused as too old (AncientBirthBlock) by a pool that has not yet looked at that block. It dies one block earlier for it.
   */
  async function parentOf(head: Head, signal?: AbortSignal): Promise<Head> {
    const asked = parents(head.hash, async () => {
      const number = (head.number - 1) as BlockNumber;
      const hash = number < 0 ? undefined : await link.ask('chain_getBlockHash', [number], undefined, link.closed);
      return typeof hash === 'string' ? { number, hash: hash as Hash } : undefined;
    });
    return (await raceSignal(asked, signal ?? link.closed)) ?? head;
  }

  /** By a runtime call: `system_dryRun` does the same, but endpoints for the public keep it to themselves. Without an answer the call is sent. */
  async function tryOut({ call, versions }: Sent, signal?: AbortSignal): Promise<void> {
    let answer: unknown;
    try {
      answer = await link.request('state_call', [DRY_RUN_API, versions.at(-1)], signal);
    } catch (error) {
      if (!(error instanceof RpcFault)) throw error;
      log.debug('no dry run', { call, error: error.message });
      return;
    }
    const { runtime } = await link.connection(signal);
    const failure = runtime.dryRunError(answer);
    if (failure !== undefined) throw extrinsicWouldFail(call, failure.pallet, failure.error);
  }

  /** With those that wait in the pool; nodes whose RPC knows 32-byte accounts only are asked by a runtime call, without the pool. */
  async function readNonce(address: Address, signal?: AbortSignal): Promise<number> {
    try {
      return Number(await link.request('system_accountNextIndex', [address], signal));
    } catch (error) {
      if (!(error instanceof RpcFault)) throw error;
      const answer = await link.request('state_call', [NONCE_API, address], signal);
      return nonceIn(answer);
    }
  }

  /** Without those that wait; undefined where the endpoint cannot say. */
  async function countAt(address: Address, block: Hash): Promise<number | undefined> {
    try {
      return nonceIn(await link.ask('state_call', [NONCE_API, address], block, link.closed));
    } catch (error) {
      log.debug('nonce not read', { block, error: String(error) });
      return undefined;
    }
  }

  /**
   * Without an answer nobody knows whether the bytes arrived: they count as sent, for to say otherwise would have them signed twice. Bytes that
   * are there before they were ever offered are another process's, with the same wish and the same nonce: its effect is not ours.
   */
  async function handOver(sent: Sent, signal?: AbortSignal): Promise<void> {
    try {
      await offer(sent, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isSilence(error)) throw error;
      log.warn('no answer to a transaction, looking for it', { call: sent.call, code: errorCode(error) });
    }
  }

  /** Asks until the endpoint answers: its silence says nothing about a transaction that was sent. */
  async function persist<T>(read: () => Promise<T>, stop: AbortSignal): Promise<T> {
    for (;;) {
      try {
        return await raceSignal(read(), stop);
      } catch (error) {
        stop.throwIfAborted();
        if (!isSilence(error)) throw error;
        await pause(timers, retryMs, stop);
        stop.throwIfAborted();
      }
    }
  }

  /** The newest version. */
  async function offer({ call, account, versions }: Sent, signal?: AbortSignal): Promise<void> {
    try {
      await link.requestOnce('author_submitExtrinsic', [versions.at(-1)], signal, SUBMIT_MS);
    } catch (error) {
      throw error instanceof RpcFault ? extrinsicRejected(call, account, error.message) : error;
    }
  }

  async function awaitInclusion(sent: Sent, until: 'inBlock' | 'finalized', signal?: AbortSignal): Promise<Receipt> {
    const deadline = timers.timeout(INCLUSION_MS);
    const parts = [deadline, link.closed, ...(signal === undefined ? [] : [signal])];
    const stop = AbortSignal.any(parts);
    const visited = new Set<Hash>();
    try {
      for (;;) {
        const found = await find(sent, visited, stop);
        if (until === 'inBlock' || (await becomesFinal(found.block, stop)))
          return await persist(() => receiptOf(sent.call, found, stop), stop);
      }
    } catch (error) {
      if (deadline.aborted && !signal?.aborted) throw chainTimeout(`inclusion of ${sent.call}`, INCLUSION_MS);
      throw error;
    }
  }

  /** Looks through every new best chain until the transaction is in it, or dead. */
  async function find(sent: Sent, visited: Set<Hash>, stop: AbortSignal): Promise<Found> {
    let offered: number = sent.birth.number;
    for await (const head of link.best.stream(stop)) {
      const found = await lookBack(sent, head, visited, stop);
      if (typeof found === 'object') return found;
      if (found === 'absent' && head.number + 1 >= sent.death) throw extrinsicExpired(sent.call);
      if (await isTaken(sent, visited, stop)) throw extrinsicRejected(sent.call, sent.account, POOL_STALE);
      if (head.number >= offered + OFFER_AGAIN_BLOCKS) {
        offered = head.number;
        await offerAgain(sent, stop);
      }
    }
    stop.throwIfAborted();
    throw extrinsicExpired(sent.call);
  }

  /**
   * Whether a finalized block has used the nonce for something else: then no version of this one ever gets into a block, and it may be signed anew.
   * Asked only of a block that was looked through with all below it.
   */
  async function isTaken({ account, nonce }: Sent, visited: Set<Hash>, stop: AbortSignal): Promise<boolean> {
    const final = link.finalized.last;
    if (final === undefined || !visited.has(final.hash)) return false;
    const asked = counts(`${final.hash} ${account}`, () => countAt(account, final.hash));
    return ((await raceSignal(asked, stop)) ?? 0) > nonce;
  }

  /** A pool that still has it is offered more for it; one that has dropped it is offered it as it was. */
  async function offerAgain(sent: Sent, stop: AbortSignal): Promise<void> {
    const refusal = await refusedAgain(sent, stop);
    if (refusal !== 'AlreadyImported' || sent.versions.length > MAX_RAISES) return;
    const tip = FIRST_TIP * 2n ** BigInt(sent.versions.length - 1);
    sent.versions.push(sent.withTip(tip));
    log.info('offered again with a tip', { call: sent.call, tip });
    // Refused, it is never in a block; the version before it still may be.
    if ((await refusedAgain(sent, stop)) !== undefined) sent.versions.pop();
  }

  /** The pool's word when it does not take it. A refusal of what was taken before is final only where it names a lasting cause. */
  async function refusedAgain(sent: Sent, stop: AbortSignal): Promise<string | undefined> {
    try {
      await offer(sent, stop);
      return undefined;
    } catch (error) {
      stop.throwIfAborted();
      const reason = reasonOf(error);
      if (reason !== undefined && LASTING.includes(reason) && sent.versions.length === 1) throw error;
      log.debug('not taken again', { call: sent.call, error: String(error) });
      return isSilence(error) ? undefined : (reason ?? 'unknown');
    }
  }

  /** From a head back to the birth, leaving out what was seen before. 'unknown' when the endpoint lacks a block on the way. */
  async function lookBack(
    sent: Sent,
    head: Head,
    visited: Set<Hash>,
    stop: AbortSignal,
  ): Promise<Found | 'absent' | 'unknown'> {
    let { number, hash } = head;
    const path: Hash[] = [];
    while (number > sent.birth.number && !visited.has(hash)) {
      const block = await readBlock(hash, stop);
      if (block === undefined) return 'unknown';
      const bytes = sent.versions.find((version) => block.extrinsics.includes(version));
      if (bytes !== undefined) return { block: { number, hash }, index: block.extrinsics.indexOf(bytes), bytes };
      path.push(hash);
      hash = block.parent;
      number = (number - 1) as BlockNumber;
    }
    // Only now: what lies below a block that was seen counts as seen too.
    for (const seen of path) if (visited.size < MAX_VISITED) visited.add(seen);
    return 'absent';
  }

  /** Undefined when the endpoint does not know the block (another endpoint, a fork that is gone). */
  function readBlock(hash: Hash, stop: AbortSignal): Promise<BlockBody | undefined> {
    return persist(() => bodies(hash, () => askBlock(hash)), stop);
  }

  async function askBlock(hash: Hash): Promise<BlockBody | undefined> {
    const answer = (await link.ask('chain_getBlock', [hash], undefined, link.closed)) as
      | { block: { header: { parentHash: Hash }; extrinsics: readonly string[] } }
      | null
      | undefined;
    if (!answer) return undefined;
    return { parent: answer.block.header.parentHash, extrinsics: answer.block.extrinsics };
  }

  async function becomesFinal({ number, hash }: Head, stop: AbortSignal): Promise<boolean> {
    await link.finalized.until((head) => head.number >= number, stop);
    return (await persist(() => link.ask('chain_getBlockHash', [number], undefined, stop), stop)) === hash;
  }

  async function receiptOf(call: string, { block, index, bytes }: Found, stop: AbortSignal): Promise<Receipt> {
    const { runtime } = await link.connection(stop);
    const events = await eventsOf(block.hash, async () =>
      runtime.events(await link.ask('state_getStorage', [EVENTS_KEY], block.hash, link.closed)),
    );
    const ours = events.filter(({ extrinsic }) => extrinsic === index);
    const failure = ours.find(({ pallet, name }) => pallet === 'System' && name === 'ExtrinsicFailed');
    if (failure !== undefined) {
      const { pallet, error } = runtime.dispatchError(failure.data.dispatchError);
      throw extrinsicFailed(call, pallet, error);
    }
    return {
      block,
      extrinsicHash: runtime.extrinsicHash(bytes),
      events: ours.map(({ pallet, name, data }) => ({ pallet, name, data })),
    };
  }

  return { submit };
}

/** The nonce was used, or is waiting to be used, by another transaction. */
const TAKEN: readonly string[] = ['Stale', 'PriorityTooLow', 'AlreadyImported'];

/** The pool's word for it; undefined for any other error. */
function takenReason(error: unknown): string | undefined {
  const reason = reasonOf(error);
  return reason !== undefined && TAKEN.includes(reason) ? reason : undefined;
}

/** Why a pool refused; undefined for any other error. */
function reasonOf(error: unknown): string | undefined {
  return error instanceof ChainError && 'reason' in error.facts ? error.facts.reason : undefined;
}

function isSilence(error: unknown): boolean {
  return SILENCE.includes(errorCode(error));
}

const SILENCE: readonly string[] = ['CHAIN_UNREACHABLE', 'CHAIN_TIMEOUT'];

/** Reasons that waiting does not cure. */
const LASTING: readonly string[] = ['Payment', 'Call'];

/** What counts the transactions of an account, in every Substrate chain. */
const NONCE_API = 'AccountNonceApi_account_nonce';

/** What a block does with a transaction, in every Substrate chain; outside of a block nothing of it stays. */
const DRY_RUN_API = 'BlockBuilder_apply_extrinsic';

function nonceIn(answer: unknown): number {
  return Buffer.from(fromHex(String(answer))).readUInt32LE(0);
}

/** twox128("System") ++ twox128("Events"), the same in every Substrate chain. */
const EVENTS_KEY = '0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7';

function isThere(value: unknown): boolean {
  return value !== undefined;
}
