// Streams of libp2p opened to peers and served to them: dialling, protocol negotiation, the question of admission, how many at a time.

import type { Connection, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../types/ids.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { refused, streamReset, unreachable } from './errors.ts';
import {
  createFrameStream,
  holdBack,
  isGone,
  lingerThenAbort,
  readAdmission,
  sayAdmitted,
  sayRefused,
} from './libp2p-frames.ts';
import type { OverlayNode } from './libp2p-node.ts';
import { type FrameStream, OverlayError, type ProtocolOptions, type RefusalCode } from './types.ts';

/** Told of every peer that was turned away or cut off. */
export type NoteRefusal = (peer: PeerId, code: RefusalCode) => void;

/** A protocol's question about a peer may have to read a roster; an opener waits no longer than for a handshake (protocol.md 14). */
const ADMISSION_MS = 10_000;
/** An address that does not answer at all. */
export const DIAL_MS = 10_000;
/** Streams this side may have open to one peer by one protocol; how many are admitted is the other side's decision. */
const MAX_OUTBOUND_STREAMS = 256;

/** @param target a peer id, or a multiaddr that ends in one */
export async function dial(node: OverlayNode, target: string, signal: AbortSignal): Promise<Connection> {
  signal.throwIfAborted();
  try {
    const address = target.startsWith('/') ? multiaddr(target) : peerIdFromString(target);
    return await raceSignal(node.dial(address, { signal }), signal);
  } catch (error) {
    throw asUnreachable(target, error, signal);
  }
}

/** A caller who gave up gets its own reason back, a deadline that passed counts as no answer. */
function asUnreachable(target: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted && !isTimeout(signal.reason)) return signal.reason;
  return unreachable(target, errorMessage(error), error);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

export async function openStream(
  node: OverlayNode,
  peer: PeerId,
  protocol: string,
  options: { readonly maxFrameBytes: number; readonly signal: AbortSignal },
  note: NoteRefusal,
): Promise<FrameStream> {
  const stream = await newStream(node, peer, protocol, options.signal);
  const admitted = await readAdmission(stream, options.signal).catch((error) => {
    stream.abort(error);
    throw options.signal.aborted ? error : streamReset(peer, protocol, errorMessage(error), error);
  });
  if (!admitted) {
    stream.abort(new Error('not admitted'));
    throw refused(peer, protocol, 'it does not admit this peer, or no more streams of it');
  }
  return createFrameStream(stream, peer, options.maxFrameBytes, 'opener', (code) => note(peer, code));
}

/** libp2p would dial a relayed peer anew for every stream; that it becomes direct is direct.ts's work. */
function openConnection(node: OverlayNode, peer: PeerId): Connection | undefined {
  const open = node.getConnections(peerIdFromString(peer)).filter(({ status }) => status === 'open');
  return open.find(({ direct }) => direct) ?? open[0];
}

/** A connection may be gone without our knowing: the first stream finds out, and nothing was sent yet, so it is dialled once more. */
async function newStream(node: OverlayNode, peer: PeerId, protocol: string, signal: AbortSignal): Promise<Stream> {
  const connection = openConnection(node, peer) ?? (await dial(node, peer, signal));
  try {
    return await negotiate(connection, peer, protocol, signal);
  } catch (error) {
    if (errorCode(error) !== 'STREAM_RESET' || connection.status === 'open') throw error;
    return negotiate(await dial(node, peer, signal), peer, protocol, signal);
  }
}

async function negotiate(connection: Connection, peer: PeerId, protocol: string, signal: AbortSignal): Promise<Stream> {
  try {
    return await connection.newStream(protocol, {
      signal,
      maxOutboundStreams: MAX_OUTBOUND_STREAMS,
      runOnLimitedConnection: true,
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof Error && cause.name === 'UnsupportedProtocolError')
      throw refused(peer, protocol, 'it does not serve this protocol');
    throw streamReset(peer, protocol, errorMessage(cause), cause);
  }
}

export async function serveStreams(
  node: OverlayNode,
  protocol: string,
  options: ProtocolOptions,
  handler: (stream: FrameStream) => Promise<void>,
  { note, log }: { readonly note: NoteRefusal; readonly log: Log },
): Promise<void> {
  const open = new Map<PeerId, number>();
  const count = (peer: PeerId, change: number) => {
    const now = (open.get(peer) ?? 0) + change;
    if (now > 0) open.set(peer, now);
    else open.delete(peer);
  };
  const serveOne = async (stream: Stream, connection: Connection) => {
    const peer = connection.remotePeer.toString() as PeerId;
    // It may have broken while libp2p looked for the handler: then it has told all listeners already, and would be counted for ever.
    if (isGone(stream)) return;
    holdBack(stream);
    // Counted before the question is asked, so that questions about one peer are bounded too.
    const hasRoom = (open.get(peer) ?? 0) < options.maxStreamsPerPeer;
    count(peer, 1);
    stream.addEventListener('close', () => count(peer, -1));
    const why = hasRoom ? await notAdmitted(options, peer) : 'TOO_MANY_STREAMS';
    if (why !== undefined) {
      note(peer, why);
      return sayRefused(stream);
    }
    sayAdmitted(stream);
    const noteOffence = (code: RefusalCode) => note(peer, code);
    const frames = createFrameStream(stream, peer, options.maxFrameBytes, 'answerer', noteOffence);
    await runHandler(handler, stream, frames, noteOffence, log);
  };
  await node.handle(
    protocol,
    (stream, connection) => {
      serveOne(stream, connection).catch((error) => stream.abort(error));
    },
    // Streams to be refused must get as far as our answer. A later handler takes the place of an earlier one.
    {
      maxInboundStreams: 2 * options.maxStreamsPerPeer,
      maxOutboundStreams: MAX_OUTBOUND_STREAMS,
      runOnLimitedConnection: true,
      force: true,
    },
  );
}

async function notAdmitted(options: ProtocolOptions, peer: PeerId): Promise<'NOT_ADMITTED' | undefined> {
  try {
    const admitted = await raceSignal(Promise.resolve(options.admit(peer)), withDeadline(undefined, ADMISSION_MS));
    return admitted ? undefined : 'NOT_ADMITTED';
  } catch {
    return 'NOT_ADMITTED';
  }
}

/** The stream ends when the handler does; a handler that throws breaks it off. */
async function runHandler(
  handler: (stream: FrameStream) => Promise<void>,
  stream: Stream,
  frames: FrameStream,
  noteOffence: (code: RefusalCode) => void,
  log: Log,
): Promise<void> {
  try {
    await handler(frames);
    await frames.close();
    lingerThenAbort(stream);
  } catch (error) {
    if (error instanceof OverlayError && (error.code === 'PEER_SILENT' || error.code === 'PEER_STALLED'))
      noteOffence(error.code);
    log.debug('stream broken off by its handler', { protocol: stream.protocol, error: errorMessage(error) });
    frames.abort(error instanceof Error ? error : new Error(String(error)));
  }
}
