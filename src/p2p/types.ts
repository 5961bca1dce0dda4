// What this program asks of the overlay: requests, long streams of frames, gossip, a write-once record store on a DHT.
// Admission is given as functions: the overlay moves bytes and asks; what a record or a peer means is decided elsewhere.
// Implementations: libp2p.ts and memory.ts (the twin); test/compliance/overlay.ts is what both must do (network.md).

import type { PeerId } from '../types/ids.ts';
import { CodedError } from '../util/errors.ts';

export type OverlayErrorFacts =
  | { readonly code: 'PEER_UNREACHABLE'; readonly peer: string }
  | { readonly code: 'PEER_REFUSED'; readonly peer: string; readonly protocol: string }
  | { readonly code: 'STREAM_RESET'; readonly peer: string; readonly protocol: string }
  | { readonly code: 'FRAME_TOO_LARGE'; readonly bytes: number; readonly limit: number }
  | { readonly code: 'RECORD_REFUSED'; readonly reason: string }
  | { readonly code: 'OVERLAY_CLOSED' }
  | { readonly code: 'LISTEN_FAILED'; readonly addresses: readonly string[] }
  | { readonly code: 'PEER_SILENT'; readonly peer: string }
  | { readonly code: 'PEER_STALLED'; readonly peer: string }
  | { readonly code: 'NETWORK_KEY_INVALID'; readonly file: string }
  | { readonly code: 'IDENTITY_INVALID'; readonly file: string }
  | { readonly code: 'IDENTITY_READABLE'; readonly file: string; readonly mode: string };

export class OverlayError extends CodedError<OverlayErrorFacts> {}

/**
 * Why a peer was turned away or cut off. At the door: BANNED, TOO_MANY_STRANGERS. At a protocol: NOT_ADMITTED, TOO_MANY_STREAMS. On a stream:
 * PEER_SILENT (it never sent what was due), PEER_STALLED (it does not read), FRAME_TOO_LARGE, BAD_STREAM (not our framing, or a flood of
 * empty frames). In gossip: MESSAGE_REJECTED.
 */
export type RefusalCode =
  | 'BANNED'
  | 'NOT_ADMITTED'
  | 'TOO_MANY_STREAMS'
  | 'TOO_MANY_STRANGERS'
  | 'PEER_SILENT'
  | 'PEER_STALLED'
  | 'FRAME_TOO_LARGE'
  | 'BAD_STREAM'
  | 'MESSAGE_REJECTED';

/** The node's Ed25519 key: signs what peers must be able to prove later. */
export interface Identity {
  readonly peer: PeerId;
  /** 64 bytes (RFC 8032). */
  sign(message: Uint8Array): Uint8Array;
}

/** 'accept': keep and pass on. 'ignore': drop, nobody's fault. 'reject': drop and hold it against the sender. */
export type Verdict = 'accept' | 'ignore' | 'reject';

/** Longest gossip message (protocol.md 14); `publish` throws FRAME_TOO_LARGE beyond it. */
export const MAX_GOSSIP_BYTES = 24 << 10;

/** A stream of whole frames in both directions over one kept connection. The length prefix is the overlay's own. */
export interface FrameStream {
  readonly peer: PeerId;
  /** Resolves when the transport has room again (backpressure); rejects when the stream is gone. The parts are sent as one frame and
   *  belong to the overlay from then on. When the signal aborts the wait, the frame may still arrive. */
  send(parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void>;
  /** Frames in order; ends when the other side closed, throws STREAM_RESET when it broke off. One consumer. */
  frames(): AsyncIterable<Uint8Array>;
  /** Says that nothing more will be sent, and frees the stream once both sides did so. */
  close(): Promise<void>;
  /** Breaks off at once in both directions. */
  abort(reason: Error): void;
}

export interface ProtocolOptions {
  /** Longest frame or body, checked before memory is taken. */
  readonly maxFrameBytes: number;
  /** Whether this peer may use the protocol; asked for each stream. */
  readonly admit: (peer: PeerId) => boolean | Promise<boolean>;
  /** Open streams per peer and direction. */
  readonly maxStreamsPerPeer: number;
}

export interface RecordRules {
  /** Decides about a record that came by DHT PUT or GET; asynchronous because a roster may have to be read. */
  readonly judge: (key: string, value: Uint8Array) => Promise<Verdict>;
  /** Whether `next` takes the place of `held` under this key. False for every kind that is written once (protocol.md 4). */
  readonly replaces: (key: string, held: Uint8Array, next: Uint8Array) => boolean;
  /** Longer values are refused before they are judged. */
  readonly maxRecordBytes: number;
}

export interface Overlay {
  readonly self: PeerId;
  /** Multiaddrs others can dial, each ending in /p2p/<self>. */
  addresses(): readonly string[];
  /** Peers with an open connection. */
  peers(): readonly PeerId[];
  /** Those of them that are reached through a relay alone. */
  relayed(): readonly PeerId[];
  /** Dials a multiaddr that ends in /p2p/<peer>, or a known peer id. PEER_UNREACHABLE when that fails. */
  connect(address: string, signal?: AbortSignal): Promise<PeerId>;
  /** Remembers addresses of a peer without dialling. */
  learn(peer: PeerId, multiaddrs: readonly string[]): Promise<void>;
  /** Closes all connections to a peer. */
  disconnect(peer: PeerId): Promise<void>;
  /** How often each peer was turned away, by reason; the last few thousand peers. */
  refusals(): ReadonlyMap<PeerId, Readonly<Partial<Record<RefusalCode, number>>>>;

  /** Serves request/response: one frame in, one frame out, on a fresh stream. A handler that throws resets the stream; a later handler of
   *  the same protocol takes its place. */
  handleRequest(
    protocol: string,
    options: ProtocolOptions,
    handler: (body: Uint8Array, from: PeerId, signal: AbortSignal) => Promise<Uint8Array>,
  ): Promise<void>;
  request(
    peer: PeerId,
    protocol: string,
    body: Uint8Array,
    options: { readonly maxFrameBytes: number; readonly signal: AbortSignal },
  ): Promise<Uint8Array>;

  /** Serves long streams; the stream ends when the handler does. */
  handleStream(
    protocol: string,
    options: ProtocolOptions,
    handler: (stream: FrameStream) => Promise<void>,
  ): Promise<void>;
  openStream(
    peer: PeerId,
    protocol: string,
    options: { readonly maxFrameBytes: number; readonly signal: AbortSignal },
  ): Promise<FrameStream>;

  /** Joins a gossip topic; `judge` runs on every message of others before it is passed on. Own messages are not delivered back. */
  subscribe(topic: string, judge: (message: Uint8Array, from: PeerId) => Promise<Verdict>): void;
  /** Sends to the topic; answers to how many peers it went first. The same bytes are one message for some minutes: sent again they reach
   *  nobody, unless it was nobody before. */
  publish(topic: string, message: Uint8Array): Promise<number>;

  /** Puts a record under `/tsr/...` into the DHT (and the own store). RECORD_REFUSED when the own rules refuse it. Resolves with the number of peers
   *  that stored it by the time all have answered or the signal aborts. */
  putRecord(key: string, value: Uint8Array, signal: AbortSignal): Promise<number>;
  /** The record for a key from anybody, or undefined. Throws the signal's reason when it aborts before one is
   *  found. Never to be waited for by a duty (network.md). */
  getRecord(key: string, signal: AbortSignal): Promise<Uint8Array | undefined>;

  /** Says on the DHT that this peer has a content, named by its SHA-256. Best effort: resolves when it was said to whoever could be found, or
   *  when the signal aborts. */
  provide(content: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Peers that said so, this one not among them: at most some dozen, found until the signal aborts. */
  providers(content: Uint8Array, signal: AbortSignal): Promise<readonly PeerId[]>;

  close(): Promise<void>;
}
