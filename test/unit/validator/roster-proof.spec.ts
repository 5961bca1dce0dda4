// Where a roster's proof comes from, which is taken, and what is kept for others (protocol.md 10).

import assert from 'node:assert/strict';
import { MAX_PROOF_BYTES, type ProvenRoster, type RosterState, type StateProof } from '../../../src/chain/types.ts';
import type { BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../../../src/types/ids.ts';
import { type Log, silentLog } from '../../../src/util/log.ts';
import { encodeProof } from '../../../src/validator/evidence-protocol.ts';
import { createRosterProofs, keepProof, type OfferedProof } from '../../../src/validator/roster-proof.ts';

const E = 7 as Epoch;
const H: Hash = `0x${'07'.repeat(32)}` as Hash;
const OPTIONS = { subnet: 1 as SubnetId, clock: { slot: 3, epochLength: 20 } };
const FIRST = 143;
const STATE: RosterState = { misc: Uint8Array.of(1), nodes: [], electable: [5 as NodeId], elected: undefined };
const { signal } = new AbortController();

/** A proof of whose nodes the first says whether it holds. */
function proof(holds: boolean, name = 0): StateProof {
  return { header: Uint8Array.of(name), nodes: [Uint8Array.of(holds ? 1 : 0)] };
}

function bytesOf(one: StateProof): Uint8Array {
  return encodeProof(one) ?? assert.fail();
}

function offer(peer: string, body: Uint8Array): OfferedProof {
  return { peer: peer as PeerId, proof: body };
}

function world(change: { final?: number; own?: StateProof | Error; offers?: readonly OfferedProof[] } = {}) {
  const { final = FIRST, own = proof(true), offers = [] } = change;
  const checked: StateProof[] = [];
  const chain = {
    head: async () => ({ number: final as BlockNumber, hash: H }),
    blockHash: async (block: BlockNumber) => (block === FIRST ? H : undefined),
    async proveRoster(_: SubnetId, epoch: Epoch, at: Hash) {
      assert.deepEqual([epoch, at], [E, H]);
      if (own instanceof Error) throw own;
      return own;
    },
    async provenRoster(_: SubnetId, epoch: Epoch, at: Hash, given: StateProof): Promise<ProvenRoster> {
      assert.deepEqual([epoch, at], [E, H]);
      checked.push(given);
      if (given.nodes[0]?.[0] === 1) return { ok: true, state: STATE };
      return { ok: false, code: 'PROOF_INCOMPLETE', why: 'it says so' };
    },
  };
  return { proofs: createRosterProofs(OPTIONS, { chain, ask: async () => offers, log: silentLog }), checked };
}

describe('roster proofs', () => {
  it('come from the chain, checked like any other', async () => {
    assert.deepEqual(await world().proofs.fromChain(E, signal), {
      ok: true,
      state: STATE,
      proof: bytesOf(proof(true)),
    });
    const codeOf = async (change: Parameters<typeof world>[0]) => {
      const found = await world(change).proofs.fromChain(E, signal);
      return found.ok ? 'ok' : found.code;
    };
    assert.equal(await codeOf({ own: proof(false) }), 'PROOF_INCOMPLETE');
    assert.equal(await codeOf({ final: FIRST - 1 }), 'PROOF_MISSING');
    const large = { header: Uint8Array.of(1), nodes: [Uint8Array.of(1), new Uint8Array(MAX_PROOF_BYTES)] };
    assert.equal(await codeOf({ own: large }), 'PROOF_TOO_LARGE');
    await assert.rejects(codeOf({ own: new Error('gone') }), /gone/);
  });

  it('come from peers: the first that holds is taken, and who handed over another is named', async () => {
    const good = bytesOf(proof(true));
    const offers = [
      offer('junk', Uint8Array.of(1)),
      offer('liar', bytesOf(proof(false))),
      offer('one', good),
      offer('two', good),
      offer('three', bytesOf(proof(true, 3))),
      offer('late liar', bytesOf(proof(false, 4))),
    ];
    const { proofs, checked } = world({ offers });
    assert.deepEqual(await proofs.fromPeers(E, signal), { ok: true, state: STATE, proof: good });
    assert.deepEqual(proofs.refused(), [
      { peer: 'junk', epoch: E, code: 'PROOF_MALFORMED' },
      { peer: 'liar', epoch: E, code: 'PROOF_INCOMPLETE' },
      { peer: 'late liar', epoch: E, code: 'PROOF_INCOMPLETE' },
    ]);
    assert.equal(checked.length, 4, 'the same bytes are not looked at twice');
    for (let round = 0; round < 40; round++) await proofs.fromPeers(E, signal);
    assert.equal(proofs.refused().length, 64, 'it does not grow for ever');
  });

  it('are missing where no peer has one, and before the block is final', async () => {
    assert.deepEqual(await world().proofs.fromPeers(E, signal), { ok: false, code: 'PROOF_MISSING' });
    const offers = [offer('one', bytesOf(proof(true)))];
    const early = world({ offers, final: FIRST - 1 });
    assert.deepEqual(await early.proofs.fromPeers(E, signal), { ok: false, code: 'PROOF_MISSING' });
    const lies = world({ offers: [offer('liar', bytesOf(proof(false)))] });
    assert.deepEqual(await lies.proofs.fromPeers(E, signal), { ok: false, code: 'PROOF_INCOMPLETE' });
  });

  it('are kept once, and not where the endpoint had told another roster than it proves', async () => {
    const kept = new Map<Epoch, Uint8Array>();
    const errors: string[] = [];
    const log: Log = { ...silentLog, error: (message: string) => void errors.push(message) };
    const keep = (change: Parameters<typeof world>[0], agrees: boolean, epoch: Epoch = E) => {
      const deps = {
        proofs: world(change).proofs,
        agrees: async (_: Epoch, state: RosterState | undefined) => {
          assert.equal(state, STATE);
          return agrees;
        },
        kept: (of: Epoch) => kept.get(of),
        keep: (of: Epoch, bytes: Uint8Array) => void kept.set(of, bytes),
        log,
      };
      return keepProof(epoch, deps, signal);
    };
    await keep({}, false);
    assert.deepEqual([kept.size, errors.length], [0, 1]);
    await keep({ own: proof(false) }, true);
    await keep({ own: new Error('gone') }, true);
    await keep({}, true, -1 as Epoch);
    assert.equal(kept.size, 0);
    await keep({}, true);
    assert.deepEqual(kept.get(E), bytesOf(proof(true)));
    await keep({ own: proof(true, 9) }, true);
    assert.deepEqual(kept.get(E), bytesOf(proof(true)), 'there already');
    assert.equal(errors.length, 1);
  });
});
