// A process of test/sim/kills.ts: signs everything that a node signs in an epoch, one epoch after the other, with the real pen and the real
// journal on disk, and tells of each payload when it would be sent. It makes other payloads in each life: only the journal keeps it honest.
// Usage: signer-process.ts FOLDER SEED EPOCHS

import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { commitmentOf } from '../../src/consensus/commitment.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createJournal } from '../../src/store/sqlite.ts';
import type { Slot } from '../../src/store/types.ts';
import type { Epoch, Hash, NodeId, SubnetId } from '../../src/types/ids.ts';
import type { EpochKind, RecordBody } from '../../src/types/record.ts';
import { fromHex, toHex, u32le } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { createPen } from '../../src/validator/pen.ts';

const [folder = '', seed = '1', count = '1'] = process.argv.slice(2);
const genesis = `0x${'01'.repeat(32)}` as Hash;
const subnet = 128_001 as SubnetId;
const node = 3 as NodeId;
const identity = identityFromSeed(sha256(u32le(Number(seed))));
const journal = createJournal({ file: join(folder, 'journal.sqlite'), genesis });
const pen = createPen({ subnet, node }, { journal, identity, demand: () => undefined });
const anything = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

/** At once, not when a buffer is full: what is told has left the process. */
function tell(slot: string, what: Uint8Array): void {
  writeSync(1, `${slot} ${toHex(what)}\n`);
}

function sign(body: RecordBody & { readonly kind: EpochKind }): void {
  const { id } = pen.sign(body);
  tell(`${body.kind} ${body.epoch}`, id);
}

function commit(kind: 'hc' | 'sc', epoch: Epoch): void {
  const head = { genesis: fromHex(genesis), subnet, epoch, node };
  const opening = pen.opening(kind, epoch, () => anything(200));
  const what = kind === 'hc' ? 'hoster' : 'score';
  const manifest = fromHex('04'.repeat(32));
  const binding = { what, ...head, peer: identity.peer, manifest, audits: false } as const;
  const commitment = commitmentOf(binding, opening);
  sign(kind === 'hc' ? { kind, ...head, commitment, manifest, audits: false } : { kind, ...head, commitment });
}

/** What was committed, opened: the salt of another life would open nothing. */
function reveal(kind: 'hr' | 'sr', epoch: Epoch): void {
  const opening = pen.kept(kind === 'hr' ? 'hc' : 'sc', epoch);
  if (opening === undefined) throw new Error(`nothing to open in epoch ${epoch}`);
  sign({ kind, genesis: fromHex(genesis), subnet, epoch, node, ...opening });
}

function claim(kind: 'propose' | 'attest', epoch: Epoch): void {
  const slot: Slot = { subnet, node, epoch, kind };
  const payload = journal.claimed(slot) ?? anything(100);
  journal.claim(slot, payload);
  tell(`${kind} ${epoch}`, payload);
}

function witness(kind: 'wa' | 'wb', epoch: Epoch): void {
  const held = Array.from({ length: kind === 'wa' ? 4 : 3 }, () => ({ seats: Uint8Array.of(1), ids: anything(16) }));
  sign({ kind, genesis: fromHex(genesis), subnet, epoch, node, held });
}

for (let epoch = 0; epoch < Number(count); epoch++) {
  const now = epoch as Epoch;
  claim('propose', now);
  claim('attest', now);
  commit('hc', now);
  witness('wa', now);
  reveal('hr', now);
  if (epoch > 0) reveal('sr', (epoch - 1) as Epoch);
  witness('wb', now);
  commit('sc', now);
}
journal.close();
