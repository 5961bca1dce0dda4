// What one hop remembers of a session with a stateless model to give receipts for it (protocol.md 13): one receipt for each run, over the
// tensors that came in and those that went on, and both for auditors while there is room.

import { chainStart, drawsStart, runNext, SKETCHLESS } from '../consensus/receipt.ts';
import type { BlockNumber } from '../types/ids.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { type Cbor, encodeCbor } from '../util/cbor.ts';
import { encodeTensors } from '../wire/named-tensors.ts';
import type { Receipt } from '../wire/receipt.ts';
import type { TranscriptOptions } from './transcript.ts';

/** Tensors as they travel, and the chain over those of the runs before. */
export interface KeptTensors {
  readonly before: Uint8Array;
  readonly header: Cbor;
  readonly tensor: Uint8Array;
}

export interface KeptRun {
  readonly taken: KeptTensors;
  readonly given: KeptTensors;
}

export interface RunTranscript {
  /** The next run: its receipt, not signed yet. */
  add(taken: readonly NamedTensor[], given: readonly NamedTensor[], block: BlockNumber): Receipt;
  /** By number; nothing for those that there was no room for. */
  readonly runs: readonly (KeptRun | undefined)[];
  /** Of what is kept. */
  readonly bytes: number;
}

export interface RunTranscriptOptions
  extends Pick<TranscriptOptions, 'session' | 'manifest' | 'codec' | 'run' | 'next'> {
  /** Whether so many bytes more may be kept. */
  readonly hasRoom: (bytes: number) => boolean;
}

export function createRunTranscript(options: RunTranscriptOptions): RunTranscript {
  const { session, manifest, codec, run, hasRoom } = options;
  const runs: (KeptRun | undefined)[] = [];
  let bytes = 0;
  let [taken, given] = startsOf(options);

  function keep(kept: KeptRun): KeptRun | undefined {
    const size = kept.taken.tensor.length + kept.given.tensor.length;
    if (!hasRoom(size)) return undefined;
    bytes += size;
    return kept;
  }

  return {
    add(tensors, outputs, block) {
      const position = runs.length;
      const kept = {
        taken: { before: taken, ...encodeTensors(tensors) },
        given: { before: given, ...encodeTensors(outputs) },
      };
      runs.push(keep(kept));
      taken = linkOf(kept.taken);
      given = linkOf(kept.given);
      const { from, to } = run;
      return { session, manifest, codec, from, to, position, count: 1, taken, given, sketch: SKETCHLESS, block };
    },
    runs,
    get bytes() {
      return bytes;
    },
  };
}

/** Before the first run: of what comes in, and of what goes on. */
export function startsOf({
  session,
  manifest,
  codec,
  run,
  next,
}: Omit<RunTranscriptOptions, 'hasRoom'>): [taken: Uint8Array, given: Uint8Array] {
  const given = next === undefined ? drawsStart(session) : chainStart({ session, manifest, codec, ...next });
  return [chainStart({ session, manifest, codec, ...run }), given];
}

/** The chain with these tensors. */
export function linkOf({ before, header, tensor }: KeptTensors): Uint8Array {
  return runNext(before, encodeCbor(header), tensor);
}
