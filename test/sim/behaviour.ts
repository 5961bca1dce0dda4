// How a node misbehaves: wrappers of what its validator sees of the world. What it computes and signs is the real program's; what leaves it is not.

import type { Proposal } from '../../src/chain/types.ts';
import type { NodeId } from '../../src/types/ids.ts';
import type { RecordBody, SignedRecord } from '../../src/types/record.ts';
import { encodeCbor } from '../../src/util/cbor.ts';
import { decodeRecords, EVIDENCE_PROTOCOL } from '../../src/validator/evidence-protocol.ts';
import { recordTopic } from '../../src/validator/topic.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { decodeRecord, signRecord } from '../../src/wire/record.ts';
import type { Swarm } from '../unit/validator/swarm.ts';
import type { World } from './network.ts';

/** `did` is called at each misdeed: a run in which none happened has shown nothing. */
export type Behaviour = (deps: ValidatorDeps, me: Me) => ValidatorDeps;

export interface Me {
  readonly swarm: Swarm;
  readonly world: World;
  readonly node: NodeId;
  /** All who play the same. */
  readonly gang: readonly NodeId[];
  readonly did: () => void;
  /** Says that what this node proposes for an epoch does not follow from the evidence. */
  readonly forged: (epoch: number) => void;
}

type Change = (record: SignedRecord) => Uint8Array | undefined;

/** Own records on their way out, whichever way: changed, or kept back (undefined). The same answer for the same record shows one face. */
export function outgoing(deps: ValidatorDeps, { node, did }: Me, change: Change): ValidatorDeps {
  const { overlay } = deps;
  const passed = (bytes: Uint8Array): Uint8Array | undefined => {
    const decoded = decodeRecord(bytes);
    if (!decoded.ok || decoded.record.body.node !== node) return bytes;
    const out = change(decoded.record);
    if (out !== bytes) did();
    return out;
  };
  return {
    ...deps,
    overlay: {
      ...overlay,
      publish: async (topic, message) => {
        const out = passed(message);
        return out === undefined ? 0 : overlay.publish(topic, out);
      },
      putRecord: async (key, value, signal) => {
        const out = passed(value);
        return out === undefined ? 0 : overlay.putRecord(key, out, signal);
      },
      handleRequest: (protocol, options, handler) =>
        overlay.handleRequest(protocol, options, async (body, from, signal) => {
          const answer = await handler(body, from, signal);
          const found = protocol === EVIDENCE_PROTOCOL ? decodeRecords(answer) : undefined;
          return found === undefined ? answer : encodeCbor({ v: 1, r: found.flatMap((one) => passed(one) ?? []) });
        }),
    },
  };
}

/** Hears every record of others as gossip brings it, and may say something in answer. */
export function hearing(
  deps: ValidatorDeps,
  { swarm, node, did }: Me,
  hear: (record: SignedRecord, say: (body: RecordBody) => void) => void,
): ValidatorDeps {
  const { overlay, identity } = deps;
  const say = (body: RecordBody): void => {
    did();
    void overlay.publish(recordTopic(swarm.subnet), signRecord(body, identity).bytes);
  };
  const subscribe: typeof overlay.subscribe = (topic, judge) =>
    overlay.subscribe(topic, async (message, from) => {
      const decoded = decodeRecord(message);
      if (decoded.ok && decoded.record.body.node !== node) hear(decoded.record, say);
      return judge(message, from);
    });
  return { ...deps, overlay: { ...overlay, subscribe } };
}

/** Says something more behind each own record of a kind that it sends. */
export function beside(
  deps: ValidatorDeps,
  { did }: Me,
  kind: RecordBody['kind'],
  say: (record: SignedRecord, say: (body: RecordBody) => void) => void,
): ValidatorDeps {
  const { overlay, identity } = deps;
  const publish: typeof overlay.publish = async (topic, message) => {
    const sent = await overlay.publish(topic, message);
    const decoded = decodeRecord(message);
    if (decoded.ok && decoded.record.body.kind === kind) {
      say(decoded.record, (body) => {
        did();
        void overlay.publish(topic, signRecord(body, identity).bytes);
      });
    }
    return sent;
  };
  return { ...deps, overlay: { ...overlay, publish } };
}

/** Changes what it proposes. */
export function proposing(
  deps: ValidatorDeps,
  { did, forged }: Me,
  change: (proposal: Proposal) => Proposal,
): ValidatorDeps {
  const { chain } = deps;
  const propose: typeof chain.propose = (hotkey, proposal, options) => {
    const changed = change(proposal);
    if (changed === proposal) return chain.propose(hotkey, proposal, options);
    did();
    forged(proposal.epoch);
    return chain.propose(hotkey, changed, options);
  };
  return { ...deps, chain: { ...chain, propose } };
}

/** Votes for whatever one of the gang proposed. */
export function withGang(deps: ValidatorDeps, { swarm, gang, node, did }: Me): ValidatorDeps {
  const { chain, hotkey } = deps;
  const voted = new Set<number>();
  const submission: typeof chain.submission = async (subnet, epoch, at, signal) => {
    const found = await chain.submission(subnet, epoch, at, signal);
    const isTheirs = found !== undefined && found.proposer !== node && gang.includes(found.proposer);
    if (isTheirs && !voted.has(epoch)) {
      voted.add(epoch);
      did();
      const root = found.attests[0]?.data ?? new Uint8Array(32);
      chain.attest(hotkey, swarm.subnet, epoch, root).catch(() => undefined);
    }
    return found;
  };
  return { ...deps, chain: { ...chain, submission } };
}
