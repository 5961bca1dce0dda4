// What this node says it held in time: its closed lists as a signed record (protocol.md 4, 7). Said once per list; after a restart the
// journal says the same again.

import { epochOfKind, toWitnessList } from '../consensus/witness.ts';
import type { Epoch, NodeId, SubnetId } from '../types/ids.ts';
import { type SignedRecord, WITNESSED, type Witness, type WitnessList } from '../types/record.ts';
import type { Pen } from './pen.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';

export interface WitnessBook {
  /** The journaled witness of an epoch whose roster is known. */
  sign(kind: Witness['kind'], epoch: Epoch): SignedRecord;
}

export function createWitness(
  options: { readonly genesis: Uint8Array; readonly subnet: SubnetId; readonly node: NodeId },
  deps: {
    readonly factsOf: (epoch: Epoch) => EpochFacts | undefined;
    readonly records: Pick<Records, 'inTime'>;
    readonly pen: Pen;
  },
): WitnessBook {
  const { genesis, subnet, node } = options;

  return {
    sign(kind, epoch) {
      const seats = deps.factsOf(epoch)?.roster.nodes;
      if (seats === undefined) throw new Error(`no roster of epoch ${epoch}`);
      const held = WITNESSED[kind].map((listed): WitnessList => {
        const records = deps.records.inTime(listed, epochOfKind(listed, epoch));
        const ids = seats.flatMap(({ id }, seat) => {
          const record = records.get(id);
          return record === undefined ? [] : [[seat, record.id] as const];
        });
        return toWitnessList(new Map(ids), seats.length);
      });
      return deps.pen.sign({ kind, genesis, subnet, epoch, node, held });
    },
  };
}
