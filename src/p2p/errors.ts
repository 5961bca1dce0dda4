// The sentences behind the overlay's codes, the same for every implementation.

import type { PeerId } from '../types/ids.ts';
import { OverlayError } from './types.ts';

export function unreachable(peer: string, why: string, cause?: unknown): OverlayError {
  return new OverlayError({ code: 'PEER_UNREACHABLE', peer }, `cannot reach ${peer}: ${why}`, { cause });
}

export function refused(peer: PeerId, protocol: string, why: string): OverlayError {
  return new OverlayError({ code: 'PEER_REFUSED', peer, protocol }, `${peer} refused ${protocol}: ${why}`);
}

export function streamReset(peer: PeerId, protocol: string, why: string, cause?: unknown): OverlayError {
  return new OverlayError(
    { code: 'STREAM_RESET', peer, protocol },
    `the stream of ${protocol} with ${peer} is gone: ${why}`,
    { cause },
  );
}

export function frameTooLarge(bytes: number, limit: number): OverlayError {
  return new OverlayError(
    { code: 'FRAME_TOO_LARGE', bytes, limit },
    `a frame of ${bytes} bytes is over the limit of ${limit} bytes`,
  );
}

export function peerSilent(peer: PeerId): OverlayError {
  return new OverlayError({ code: 'PEER_SILENT', peer }, `${peer} opened a request and did not send it in time`);
}

export function peerStalled(peer: PeerId): OverlayError {
  return new OverlayError({ code: 'PEER_STALLED', peer }, `${peer} does not read the answer that it asked for`);
}

export function recordRefused(key: string, reason: string): OverlayError {
  return new OverlayError({ code: 'RECORD_REFUSED', reason }, `the record for ${key} was refused: ${reason}`);
}

export function overlayClosed(): OverlayError {
  return new OverlayError({ code: 'OVERLAY_CLOSED' }, 'the overlay is closed');
}
