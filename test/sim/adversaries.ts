// Who tries to gain or to harm (protocol.md 15). Each is played by up to a third of the nodes: what they compute and sign is the real
// program's, what leaves them is not. What it must come to is in bars.ts.

import type { Proposal } from '../../src/chain/types.ts';
import { phaseAt, windowOf } from '../../src/consensus/phase.ts';
import { quorumOf, readWitness } from '../../src/consensus/witness.ts';
import type { Epoch, NodeId, ShardIndex } from '../../src/types/ids.ts';
import type { EpochKind, RecordBody, SignedRecord } from '../../src/types/record.ts';
import { utf8 } from '../../src/util/bytes.ts';
import { encodeCbor } from '../../src/util/cbor.ts';
import { sha256, shake256, tag } from '../../src/util/hash.ts';
import { recordTopic } from '../../src/validator/topic.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { decodeArgs, encodeArgs } from '../../src/wire/evidence.ts';
import { decodeRecord, signRecord } from '../../src/wire/record.ts';
import { keyOfBody } from '../../src/wire/record-key.ts';
import { type FakeEngine, honestEngine, int8Engine, noiseEngine } from '../unit/validator/swarm.ts';
import { type Behaviour, beside, hearing, type Me, outgoing, proposing, withGang } from './behaviour.ts';
import { TICKS } from './network.ts';

export interface Adversary {
  /** What it hopes for. */
  readonly tries: string;
  readonly role: 'hoster' | 'attestor';
  readonly behaviour?: Behaviour;
  /** Of a node that plays it. */
  readonly engine?: (node: number) => FakeEngine;
  /** One node plays it, however many could. */
  readonly alone?: true;
  /** Shards of a hoster. */
  readonly shardsOf?: (plays: boolean) => readonly number[];
  /** Attestors hold all shards and audit. */
  readonly audits?: true;
}

/** An honest hoster that some are after. */
const VICTIM = 1;
const ALL_SHARDS = [0, 1, 2, 3];
const SIGNED_TAG = tag('tessera/record/1');
const EMPTY_ROOT = sha256(tag('tessera/evidence/1'));

function junk(text: string, length: number): Uint8Array {
  return shake256(length, utf8(text));
}

/** All colluders give the same wrong answer. */
const colludingEngine: FakeEngine = {
  challenge: async (shard, rows) => (await honestEngine.challenge(shard, rows)).map((value, i) => -value + (i % 3)),
};

function outlierEngine(node: number): FakeEngine {
  return {
    challenge: async (shard, rows) => (await honestEngine.challenge(shard, rows)).map((value) => value * 10 ** node),
  };
}

const idleEngine: FakeEngine = { challenge: () => Promise.reject(new Error('computes nothing')) };

const isOf = (kinds: readonly RecordBody['kind'][], body: RecordBody): boolean => kinds.includes(body.kind);

export const ADVERSARIES: Readonly<Record<string, Adversary>> = {
  equivocator: {
    tries: 'shows one commitment to some and another to the others',
    role: 'hoster',
    behaviour: (deps, me) => {
      const silent = outgoing(deps, me, ({ body, bytes }) => (body.kind === 'hc' ? undefined : bytes));
      return whenSigned(silent, me, 'hc', (record) => {
        const { body } = record;
        if (body.kind !== 'hc') return;
        const other = signRecord({ ...body, commitment: new Uint8Array(32) }, deps.identity);
        me.did();
        for (const [i, { identity }] of me.swarm.nodes.entries()) {
          me.world.tell(deps.identity.peer, identity.peer, i % 2 === 0 ? record.bytes : other.bytes);
        }
      });
    },
  },
  late: {
    tries: 'commits after it has seen reveals',
    role: 'hoster',
    behaviour: (deps, me) => {
      let open = -1;
      const late = outgoing(deps, me, ({ body, bytes }) =>
        isOf(['hc', 'hr'], body) && body.epoch !== open ? undefined : bytes,
      );
      return hearing(late, me, ({ body: { kind, epoch } }) => {
        if (kind !== 'hr' || epoch === open) return;
        open = epoch;
        const { subnet } = me.swarm;
        const mine = deps.journal.claimed({ subnet, node: me.node, epoch, kind: 'hc' });
        if (mine !== undefined) void deps.overlay.publish(recordTopic(subnet), mine);
      });
    },
  },
  withholder: {
    tries: 'commits and does not reveal',
    role: 'hoster',
    behaviour: (deps, me) => outgoing(deps, me, ({ body, bytes }) => (body.kind === 'hr' ? undefined : bytes)),
  },
  copier: {
    tries: "sends another's commitment and reveal as its own",
    role: 'hoster',
    engine: () => idleEngine,
    behaviour: (deps, me) =>
      hearing(deps, me, ({ body }, say) => {
        if (body.node === VICTIM && isOf(['hc', 'hr'], body)) say({ ...body, node: me.node });
      }),
  },
  outlier: {
    tries: 'absurd answers to move the reference',
    role: 'hoster',
    engine: outlierEngine,
  },
  colluder: {
    tries: 'some give the same wrong answer, fewer than half of those who serve a shard',
    role: 'hoster',
    engine: () => colludingEngine,
    shardsOf: () => ALL_SHARDS,
  },
  quantizer: {
    tries: 'computes in 8 bits',
    role: 'hoster',
    engine: () => int8Engine,
    shardsOf: () => ALL_SHARDS,
  },
  lone: {
    tries: 'invents answers for a shard that nobody else serves',
    role: 'hoster',
    alone: true,
    engine: () => noiseEngine,
    shardsOf: (plays) => (plays ? [3] : [0, 1, 2]),
  },
  selective: {
    tries: 'witnesses only what its own gang sent',
    role: 'attestor',
    behaviour: (deps, me) => unseen(deps, me, ({ body }) => isOf(['hc', 'hr'], body) && body.node % 2 === 1),
  },
  censor: {
    tries: 'some act as if one hoster were not there, and name those who missed it',
    role: 'hoster',
    behaviour: censoring,
  },
  inventor: {
    tries: 'proposes scores or evidence that do not follow',
    role: 'attestor',
    behaviour: (deps, me) => proposing(withGang(deps, me), me, (proposal) => invented(proposal, me)),
  },
  absent: {
    tries: 'does not propose when elected',
    role: 'attestor',
    behaviour: (deps, { did }) => ({
      ...deps,
      chain: {
        ...deps.chain,
        propose: () => {
          did();
          return Promise.reject(new Error('not today'));
        },
      },
    }),
  },
  griefer: {
    tries: 'shows its records and witnesses to half of the nodes, in the last moment before a list closes',
    role: 'hoster',
    behaviour: (deps, me) => {
      const silent = outgoing(deps, me, () => undefined);
      return (['hc', 'hr', 'wa', 'wb', 'sc', 'sr'] as const).reduce<ValidatorDeps>(
        (so, kind) => whenSigned(so, me, kind, (record) => showHalf(record, kind, deps, me)),
        silent,
      );
    },
  },
  'score-copier': {
    tries: "sends another's scores as its own",
    role: 'attestor',
    behaviour: (deps, me) => {
      const mute = outgoing(deps, me, ({ body, bytes }) => (isOf(['sc', 'sr'], body) ? undefined : bytes));
      const topic = recordTopic(me.swarm.subnet);
      return hearing(mute, me, ({ body }) => {
        if (body.node !== VICTIM || !isOf(['sc', 'sr'], body)) return;
        void deps.overlay.publish(topic, signRecord({ ...body, node: me.node }, deps.identity).bytes);
      });
    },
  },
  flooder: {
    tries: 'sends junk, large messages, records of everybody and every epoch',
    role: 'attestor',
    behaviour: (deps, me) => {
      const answered = new Set<string>();
      return hearing(deps, me, ({ body }, say) => {
        const slot = keyOfBody(body);
        const now = phaseAt(me.swarm.chain.best.number, me.swarm.clock)?.epoch ?? 0;
        if (answered.has(slot) || body.epoch > now) return;
        answered.add(slot);
        const topic = recordTopic(me.swarm.subnet);
        const send = (bytes: Uint8Array): void => void deps.overlay.publish(topic, bytes);
        send(junk(`${body.kind} ${body.epoch} ${body.node}`, 200));
        send(new Uint8Array(24 << 10).fill(body.node));
        for (let i = 0; i < 5; i++) say({ ...body, node: (i + 1) as NodeId });
        say({ ...body, epoch: (body.epoch + 5) as Epoch, node: me.node });
      });
    },
  },
  auditor: {
    tries: 'votes invented sketches where it is drawn, and accuses an honest hoster',
    role: 'attestor',
    audits: true,
    engine: () => colludingEngine,
    behaviour: (deps, me) =>
      beside(deps, me, 'sc', ({ body }, say) => {
        const verdict = { accused: VICTIM as NodeId, shard: 0 as ShardIndex, segment: new Uint8Array(32), bad: true };
        const { genesis, subnet, epoch, node } = body;
        say({ kind: 'au', genesis, subnet, epoch, node, verdicts: [verdict] });
      }),
  },
};

/** Each own record of a kind, right after it was signed: then it is in the journal. */
function whenSigned(
  deps: ValidatorDeps,
  { node }: Me,
  kind: RecordBody['kind'],
  signed: (record: SignedRecord) => void,
): ValidatorDeps {
  const { journal } = deps;
  const claim: typeof journal.claim = (slot, payload) => {
    const done = journal.claim(slot, payload);
    const decoded = done === 'written' && slot.kind === kind && slot.node === node ? decodeRecord(payload) : undefined;
    if (decoded?.ok) signed(decoded.record);
    return done;
  };
  return { ...deps, journal: { ...journal, claim } };
}

/** In the last tick before the list of its kind closes. */
function showHalf(record: SignedRecord, kind: EpochKind, { identity }: ValidatorDeps, { swarm, world, did }: Me): void {
  const { closes } = windowOf(kind, record.body.epoch, swarm.clock);
  world.at(closes - 1, TICKS - 1, () => {
    did();
    for (const [i, other] of swarm.nodes.entries()) {
      if (i % 2 === 0) world.tell(identity.peer, other.identity.peer, record.bytes);
    }
  });
}

/** In the epoch of a record that it hides from itself this node does not know it, and its witnesses do not list it; later it does. */
function unseen(deps: ValidatorDeps, { swarm, did }: Me, hides: (record: SignedRecord) => boolean): ValidatorDeps {
  return {
    ...deps,
    verify(peer, message, signature) {
      const decoded = decodeRecord(encodeCbor([message.subarray(SIGNED_TAG.length), signature]));
      const now = phaseAt(swarm.chain.best.number, swarm.clock)?.epoch;
      if (!decoded.ok || decoded.record.body.epoch !== now || !hides(decoded.record)) {
        return deps.verify(peer, message, signature);
      }
      did();
      return false;
    },
  };
}

/** Does not see the victim's work, nor more witnesses of it than are needed for a quorum. */
function censoring(deps: ValidatorDeps, me: Me): ValidatorDeps {
  const { nodes } = me.swarm;
  const needed = quorumOf(nodes.length) - me.gang.length;
  const named = new Map<string, Set<number>>();
  return unseen(deps, me, ({ body }) => {
    if (isOf(['hc', 'hr'], body)) return body.node === VICTIM;
    if ((body.kind !== 'wa' && body.kind !== 'wb') || me.gang.includes(body.node)) return false;
    const work = readWitness(body, nodes.length)?.get(body.kind === 'wa' ? 'hc' : 'hr');
    if (work?.has(VICTIM - 1) !== true) return false;
    const slot = `${body.kind} ${body.epoch}`;
    const enough = named.get(slot) ?? new Set();
    named.set(slot, enough);
    if (enough.size < needed) enough.add(body.node);
    return !enough.has(body.node);
  });
}

/** What the gang's proposers say that does not follow, another thing in each epoch. */
function invented(proposal: Proposal, { swarm, node }: Me): Proposal {
  const seats = swarm.nodes.length;
  const decoded = decodeArgs(proposal.args, seats);
  if (!decoded.ok || proposal.scores.length === 0) return proposal;
  const { args } = decoded;
  const { scores } = proposal;
  const lies: readonly (() => Partial<Proposal>)[] = [
    () => ({ scores: scores.map((one) => (one.nodeId === node ? { ...one, score: one.score + 1n } : one)) }),
    () => ({ scores: scores.filter(({ nodeId }) => nodeId !== VICTIM) }),
    () => ({ scores: [...scores].reverse().map((one, i) => ({ ...one, nodeId: (scores[i] ?? one).nodeId })) }),
    () => ({ args: encodeArgs({ ...args, root: junk(`root ${proposal.epoch}`, 32) }, seats) }),
    () => ({ args: encodeArgs({ ...args, first: args.first.slice(0, quorumOf(seats) - 1) }, seats) }),
    () => ({ args: encodeArgs({ ...args, second: args.second.slice(1) }, seats) }),
    () => ({ args: encodeArgs({ ...args, equivocators: [VICTIM - 1] }, seats) }),
    () => ({
      args: encodeArgs({ ...args, first: [], second: [], equivocators: [], root: EMPTY_ROOT }, seats),
      scores: [],
    }),
    () => ({ args: junk(`args ${proposal.epoch}`, 100) }),
    () => ({ args: encodeArgs({ ...args, epoch: (args.epoch - 1) as Epoch }, seats) }),
  ];
  return { ...proposal, ...lies[proposal.epoch % lies.length]?.() };
}
