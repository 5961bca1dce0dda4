// Who tries to gain or to harm, and what it must come to (protocol.md 15). Nodes 1 to 6 are hosters, 7 to 9 attestors; at most two of nine
// are faulty, a third less one. Each expectation is about epochs that an honest node proposed for and the chain accepted.

import assert from 'node:assert/strict';
import type { NodeId, ShardIndex } from '../../src/types/ids.ts';
import type { RecordBody } from '../../src/types/record.ts';
import { utf8 } from '../../src/util/bytes.ts';
import { shake256 } from '../../src/util/hash.ts';
import { decodeRequest } from '../../src/validator/evidence-protocol.ts';
import { recordTopic } from '../../src/validator/topic.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { signRecord } from '../../src/wire/record.ts';
import { type FakeEngine, honestEngine, int8Engine, noiseEngine } from '../unit/validator/swarm.ts';
import { type Behaviour, beside, forging, hearing, type Me, outgoing } from './behaviour.ts';

/** One settled epoch. */
export interface Settled {
  readonly epoch: number;
  readonly scores: ReadonlyMap<number, bigint>;
  readonly outcome: string;
  readonly proposer: number;
}

export interface Adversary {
  /** What it hopes for. */
  readonly tries: string;
  /** Node ids. */
  readonly faulty: readonly number[];
  readonly behaviour?: Behaviour;
  readonly engine?: FakeEngine;
  /** It does nothing bad but propose. */
  readonly onlyProposes?: true;
  readonly shardsOf?: (i: number) => readonly number[];
  /** About an accepted epoch of an honest proposer, scores of the epoch before. */
  readonly expect: (settled: Settled) => void;
  /** Also of those epochs that a faulty one proposed for; by default nothing but that no honest node is harmed. */
  readonly whenProposing?: (settled: Settled) => void;
}

const LAST_HOSTER = 6;
const VICTIM = 1;

function paysNothing(...nodes: readonly number[]): (settled: Settled) => void {
  return ({ epoch, scores }) => {
    for (const node of nodes) assert.equal(scores.get(node), undefined, `node ${node} is paid in epoch ${epoch}`);
  };
}

/** As for voting: no work counts. */
function paysNoWork(node: number): (settled: Settled) => void {
  return ({ epoch, scores }) => {
    const most = scores.get(7) ?? 0n;
    assert.ok((scores.get(node) ?? 0n) <= most, `node ${node} has ${scores.get(node)} in epoch ${epoch}`);
  };
}

/** Whoever had no part in it is paid as if nothing had happened. */
function harmsNobody({ epoch, scores }: Settled): void {
  for (let node = 1; node <= 9; node++) assert.ok((scores.get(node) ?? 0n) > 0n, `node ${node} in epoch ${epoch}`);
}

function junk(text: string, length: number): Uint8Array {
  return shake256(length, utf8(text));
}

/** All colluders give the same wrong answer. */
const colludingEngine: FakeEngine = {
  challenge: async (shard, rows) => (await honestEngine.challenge(shard, rows)).map((value, i) => -value + (i % 3)),
};

const outlierEngine: FakeEngine = {
  challenge: async (shard, rows) => (await honestEngine.challenge(shard, rows)).map((value) => value * 1e9),
};

const idleEngine: FakeEngine = { challenge: () => Promise.reject(new Error('computes nothing')) };

const isOf = (kinds: readonly RecordBody['kind'][], body: RecordBody): boolean => kinds.includes(body.kind);

export const ADVERSARIES: Readonly<Record<string, Adversary>> = {
  equivocator: {
    tries: 'shows one commitment to some and another to others',
    faulty: [LAST_HOSTER],
    behaviour: (deps, me) =>
      beside(deps, me, 'hc', ({ body }, say) => {
        if (body.kind === 'hc') say({ ...body, commitment: new Uint8Array(32) });
      }),
    expect: paysNothing(LAST_HOSTER),
  },
  late: {
    tries: 'commits after it has seen reveals',
    faulty: [LAST_HOSTER],
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
    expect: paysNoWork(LAST_HOSTER),
  },
  withholder: {
    tries: 'commits and does not reveal',
    faulty: [LAST_HOSTER],
    behaviour: (deps, me) => outgoing(deps, me, ({ body, bytes }) => (body.kind === 'hr' ? undefined : bytes)),
    expect: paysNothing(LAST_HOSTER),
  },
  copier: {
    tries: "sends another's commitment and reveal as its own",
    faulty: [LAST_HOSTER],
    engine: idleEngine,
    behaviour: (deps, me) =>
      hearing(deps, me, ({ body }, say) => {
        if (body.node === VICTIM && isOf(['hc', 'hr'], body)) say({ ...body, node: me.node });
      }),
    expect: paysNothing(LAST_HOSTER),
  },
  outlier: {
    tries: 'one absurd answer to move the reference',
    faulty: [LAST_HOSTER],
    engine: outlierEngine,
    expect: paysNothing(LAST_HOSTER),
  },
  colluder: {
    tries: 'two give the same wrong answer',
    faulty: [5, LAST_HOSTER],
    engine: colludingEngine,
    expect: paysNothing(5, LAST_HOSTER),
  },
  quantizer: {
    tries: 'computes in 8 bits',
    faulty: [LAST_HOSTER],
    engine: int8Engine,
    expect: paysNothing(LAST_HOSTER),
  },
  lone: {
    tries: 'invents answers for a shard that nobody else serves',
    faulty: [LAST_HOSTER],
    engine: noiseEngine,
    shardsOf: (i) => (i === LAST_HOSTER - 1 ? [3] : [0, 1, 2]),
    expect: ({ epoch, scores }) => {
      const [lone, honest, voter] = [LAST_HOSTER, 1, 7].map((node) => scores.get(node) ?? 0n) as [
        bigint,
        bigint,
        bigint,
      ];
      // Half of a third of a shard's pay, against three fifths of one for each of five that share three shards.
      assert.ok((lone - voter) * 3n < honest - voter, `lone ${lone}, honest ${honest} in epoch ${epoch}`);
    },
  },
  selective: {
    tries: 'hands its records to some peers only, and only when asked',
    faulty: [LAST_HOSTER],
    behaviour: (deps, me) => {
      const quiet = outgoing(deps, me, ({ body, bytes }) => (isOf(['hc', 'hr'], body) ? undefined : bytes));
      const friends = new Set(me.swarm.nodes.slice(0, 2).map(({ identity }) => identity.peer));
      const handleRequest: typeof deps.overlay.handleRequest = (protocol, options, handler) =>
        deps.overlay.handleRequest(protocol, options, (body, from, signal) => {
          if (friends.has(from) || decodeRequest(body)?.ask !== 'lack') return handler(body, from, signal);
          throw new Error('not for you');
        });
      return { ...quiet, overlay: { ...quiet.overlay, handleRequest } };
    },
    expect: () => undefined,
  },
  censor: {
    tries: 'two validators act as if one hoster were not there',
    faulty: [8, 9],
    behaviour: (deps, { did }) => ({
      ...deps,
      verify: (peer, message, signature) => {
        if (!isWorkOf(VICTIM, message)) return deps.verify(peer, message, signature);
        did();
        return false;
      },
    }),
    expect: harmsNobody,
    whenProposing: ({ scores, outcome }) => {
      if (outcome === 'Accepted') assert.ok((scores.get(VICTIM) ?? 0n) > 0n);
    },
  },
  inventor: {
    tries: 'proposes scores that do not follow',
    onlyProposes: true,
    faulty: [8, 9],
    behaviour: (deps, me) =>
      proposing(deps, me, (scores) => scores.map((one, i) => (i === 0 ? { ...one, score: one.score * 2n } : one))),
    expect: harmsNobody,
    whenProposing: ({ outcome }) => assert.equal(outcome, 'Rejected'),
  },
  absent: {
    tries: 'does not propose when elected',
    onlyProposes: true,
    faulty: [8, 9],
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
    expect: harmsNobody,
    whenProposing: ({ outcome }) => assert.equal(outcome, 'Absent'),
  },
  griefer: {
    tries: 'witnesses nonsense so that honest nodes cannot agree',
    faulty: [8, 9],
    behaviour: (deps, me) =>
      forging(deps, me, (body) => {
        if (body.kind !== 'wa' && body.kind !== 'wb') return body;
        const held = body.held.map(({ seats, ids }) => ({ seats, ids: junk(`${me.node} ${body.epoch}`, ids.length) }));
        return { ...body, held };
      }),
    expect: harmsNobody,
  },
  'score-copier': {
    tries: "sends another's scores as its own",
    faulty: [9],
    behaviour: (deps, me) => {
      const mute = outgoing(deps, me, ({ body, bytes }) => (isOf(['sc', 'sr'], body) ? undefined : bytes));
      const topic = recordTopic(me.swarm.subnet);
      return hearing(mute, me, ({ body }) => {
        if (body.node !== VICTIM || !isOf(['sc', 'sr'], body)) return;
        void deps.overlay.publish(topic, signRecord({ ...body, node: me.node }, deps.identity).bytes);
      });
    },
    // From the second scored epoch on: before, nobody could have had scores.
    expect: (settled) => (settled.epoch >= 4 ? paysNothing(9)(settled) : undefined),
  },
  flooder: {
    tries: 'sends junk, large messages, records of everybody and every epoch',
    faulty: [9],
    behaviour: (deps, me) =>
      hearing(deps, me, ({ body }, say) => {
        const topic = recordTopic(me.swarm.subnet);
        const send = (bytes: Uint8Array): void => void deps.overlay.publish(topic, bytes);
        send(junk(`${body.kind} ${body.epoch} ${body.node}`, 200));
        send(new Uint8Array(24 << 10).fill(body.node));
        for (let i = 0; i < 5; i++) say({ ...body, node: (i + 1) as NodeId });
        say({ ...body, epoch: (body.epoch + 5) as typeof body.epoch, node: me.node });
      }),
    expect: harmsNobodyBut(9),
  },
  auditor: {
    tries: 'two validators accuse an honest hoster',
    faulty: [8, 9],
    behaviour: (deps, me) =>
      beside(deps, me, 'sc', ({ body }, say) => {
        const verdict = { accused: VICTIM as NodeId, shard: 0 as ShardIndex, segment: new Uint8Array(32), bad: true };
        const { genesis, subnet, epoch, node } = body;
        say({ kind: 'au', genesis, subnet, epoch, node, verdicts: [verdict] });
      }),
    expect: harmsNobody,
  },
};

function harmsNobodyBut(node: number): (settled: Settled) => void {
  return (settled) => harmsNobody({ ...settled, scores: new Map([...settled.scores, [node, 1n]]) });
}

function proposing(
  deps: ValidatorDeps,
  { did }: Me,
  change: (
    scores: readonly { readonly nodeId: NodeId; readonly score: bigint }[],
  ) => readonly { nodeId: NodeId; score: bigint }[],
): ValidatorDeps {
  const { chain } = deps;
  const propose: typeof chain.propose = (hotkey, proposal, options) => {
    did();
    return chain.propose(hotkey, { ...proposal, scores: change(proposal.scores) }, options);
  };
  return { ...deps, chain: { ...chain, propose } };
}

/** Whether what is signed is a commitment or reveal of work by this node: `"n": id` and `"t": "hc"` or `"hr"` in its map. */
function isWorkOf(node: number, message: Uint8Array): boolean {
  const text = Buffer.from(message);
  return (
    text.includes(Buffer.from([0x61, 0x6e, node])) &&
    (text.includes(Buffer.from('atbhc')) || text.includes(Buffer.from('atbhr')))
  );
}
