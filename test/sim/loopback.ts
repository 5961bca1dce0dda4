// Real nodes over real libp2p on loopback, blocks made by hand as soon as nobody has anything to do: some are killed half way, one signs two
// commitments in every epoch. What each held when its lists closed is what its witnesses say (protocol.md 7, 10).

import { firstBlock } from '../../src/consensus/phase.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { Epoch } from '../../src/types/ids.ts';
import type { Witness, WitnessList } from '../../src/types/record.ts';
import { SHORT_ID_BYTES } from '../../src/types/record.ts';
import { classRank } from '../../src/types/subnet.ts';
import { bitsOf } from '../../src/util/bitmap.ts';
import { toHex } from '../../src/util/bytes.ts';
import { decodeArgs } from '../../src/wire/evidence.ts';
import { decodeRecord, signRecord } from '../../src/wire/record.ts';
import { createLoopback, type Disguise, type Loopback, recordName } from '../support/loopback.ts';

export interface LoopbackScene {
  readonly nodes: number;
  readonly epochs: number;
  /** Share of the nodes killed half way. */
  readonly killed: number;
  readonly say?: (line: string) => void;
}

export interface LoopbackFigures {
  readonly epochs: number;
  /** Epochs in which all that ran held the same records when each list closed. */
  readonly identical: number;
  /** Where they did not. */
  readonly differences: readonly string[];
  /** Proposals of honest nodes that ran, about an epoch in which the two-faced had a seat; and those that name the proof and that all who ran attested. */
  readonly proposed: number;
  readonly proven: number;
  readonly unproven: readonly string[];
  readonly accepted: number;
  /** The first epoch, of those played, in which the chain gives the two-faced no seat any more. */
  readonly removed: number | undefined;
  readonly killed: readonly number[];
  readonly failed: readonly string[];
  readonly seconds: number;
}

const HOSTER_SHARE = 0.7;
/** Node 1, a hoster. */
const TWO_FACED = 1;
const WITNESSES = ['wa', 'wb'] as const;

/** Says another commitment behind each that it sends. */
const twoFaced: Disguise = {
  parts: ({ identity }) => ({
    createOverlay: async (options, deps) => {
      const overlay = await createOverlay(options, deps);
      return {
        ...overlay,
        publish: async (topic, message) => {
          const sent = await overlay.publish(topic, message);
          const decoded = decodeRecord(message);
          if (decoded.ok && decoded.record.body.kind === 'hc') {
            const other = { ...decoded.record.body, commitment: new Uint8Array(32) };
            await overlay.publish(topic, signRecord(other, identity).bytes);
          }
          return sent;
        },
      };
    },
  }),
};

export async function playLoopback(scene: LoopbackScene): Promise<LoopbackFigures> {
  const hosters = Math.max(2, Math.round(scene.nodes * HOSTER_SHARE));
  const started = performance.now();
  const net = await createLoopback({
    hosters,
    attestors: scene.nodes - hosters,
    disguises: { [TWO_FACED - 1]: twoFaced },
    hurries: true,
  });
  const victims = Array.from({ length: Math.floor(scene.nodes * scene.killed) }, (_, i) => scene.nodes - i);
  const differences: string[] = [];
  const unproven: string[] = [];
  const figures = { identical: 0, proposed: 0, proven: 0, accepted: 0 };
  try {
    const first = net.firstEpoch as number;
    const half = first + Math.floor(scene.epochs / 2);
    let epochs = 0;
    let removed: number | undefined;
    // Ids with a seat, by epoch.
    const rosters = new Map<number, readonly number[]>();
    // A short run goes on until somebody honest was elected.
    for (let epoch = first; epochs < scene.epochs || figures.proposed === 0; epoch++) {
      epochs += 1;
      // In the middle of the epoch half way: commitments are out, reveals are not.
      if (epoch === half) await killAt(net, half, victims);
      await net.runTo(epoch + 1, 4);
      const roster = await rosterAt(net, epoch);
      rosters.set(epoch, roster);
      if (!roster.includes(TWO_FACED)) removed ??= epochs;
      const different = differencesIn(net, epoch, roster);
      if (different === undefined) figures.identical += 1;
      else differences.push(`epoch ${epoch}: ${different}`);
      const settled = epoch > first ? await settledOf(net, epoch, rosters.get(epoch - 1) ?? []) : undefined;
      if (settled?.accepted === true) figures.accepted += 1;
      if (settled?.isHonest === true && settled.why !== undefined) unproven.push(`epoch ${epoch}: ${settled.why}`);
      if (settled?.isHonest === true && settled.isNamed) {
        figures.proposed += 1;
        if (settled.why === undefined) figures.proven += 1;
      }
      scene.say?.(`epoch ${epoch}: ${different ?? 'identical'}; ${verdictOf(settled)}`);
    }
    const failed = net.nodes.flatMap(({ id, events }) =>
      events.flatMap((event) => (event.type === 'failed' ? [`node ${id}, ${event.what}: ${event.message}`] : [])),
    );
    const seconds = (performance.now() - started) / 1000;
    return { epochs, ...figures, removed, differences, unproven, killed: victims, failed, seconds };
  } finally {
    await net.stop();
  }
}

const KILL_AT = 7;

async function killAt(net: Loopback, epoch: number, victims: readonly number[]): Promise<void> {
  await net.runTo(epoch, KILL_AT);
  await Promise.all(victims.map((id) => net.end(id)));
}

/** Who has a seat in an epoch, ascending. */
async function rosterAt({ chain, subnet, clock }: Loopback, epoch: number): Promise<readonly number[]> {
  const at = await chain.blockHash(firstBlock(epoch as Epoch, clock));
  const nodes = at === undefined ? [] : await chain.nodes(subnet.id, at);
  return nodes
    .filter(({ nodeClass, startEpoch }) => classRank(nodeClass) >= classRank('Included') && startEpoch <= epoch)
    .map(({ id }): number => id)
    .sort((a, b) => a - b);
}

/** Whether those who run and have a seat witnessed the same, the two faces aside: of these each lists the one that it saw first. */
function differencesIn({ nodes }: Loopback, epoch: number, roster: readonly number[]): string | undefined {
  const twoFacedSeat = roster.indexOf(TWO_FACED);
  const seated = nodes.filter(({ id }) => roster.includes(id));
  for (const kind of WITNESSES) {
    const lists = seated.map(({ id, seen }) => {
      const found = seen.get(recordName(kind, epoch, id))?.body;
      return found?.kind === kind ? { id, text: textOf(found, twoFacedSeat) } : { id, text: 'nothing' };
    });
    const odd = lists.find(({ text }) => text !== lists[0]?.text || text === 'nothing');
    if (odd !== undefined)
      return `${kind} of node ${odd.id} is ${odd.text.slice(0, 400)}, of node ${lists[0]?.id} ${lists[0]?.text.slice(0, 400)}`;
  }
  return undefined;
}

function verdictOf(settled: Awaited<ReturnType<typeof settledOf>> | undefined): string {
  if (settled?.isHonest !== true) return 'nothing proposed by an honest node';
  if (!settled.isNamed) return 'the two-faced had no seat';
  return settled.why ?? 'proven to all';
}

function textOf({ kind, held }: Witness, twoFacedSeat: number): string {
  return held
    .map((list, i) => `${kind}${i}: ${listText(list, kind === 'wa' && i === 0 ? twoFacedSeat : undefined)}`)
    .join('; ');
}

function listText({ seats, ids }: WitnessList, hiddenSeat: number | undefined): string {
  return bitsOf(seats)
    .map((seat, i) => {
      const short = toHex(ids.subarray(i * SHORT_ID_BYTES, (i + 1) * SHORT_ID_BYTES)).slice(0, 6);
      return seat === hiddenSeat ? `${seat}` : `${seat}=${short}`;
    })
    .join(' ');
}

/** The submission for an epoch's scores, which is settled in the next one. */
async function settledOf(net: Loopback, epoch: number, roster: readonly number[]) {
  const { chain, subnet, nodes } = net;
  const submitted = await chain.submission(subnet.id, epoch as Epoch);
  const proposer = await chain.electedValidator(subnet.id, epoch as Epoch);
  const accepted = (await chain.result(subnet.id, epoch as Epoch))?.outcome === 'Accepted';
  const isHonest = proposer !== TWO_FACED && nodes.some(({ id }) => id === proposer);
  const why = submitted === undefined ? 'nothing was proposed' : whyUnproven(net, submitted, roster);
  return { accepted, isHonest, isNamed: roster.includes(TWO_FACED), why };
}

type Submitted = NonNullable<Awaited<ReturnType<Loopback['chain']['submission']>>>;

/** Who attested has held the proof: its ids are in the root. */
function whyUnproven(
  { nodes }: Loopback,
  { args, attests, scores, validators }: Submitted,
  roster: readonly number[],
): string | undefined {
  const decoded = decodeArgs(args, roster.length);
  if (!decoded.ok) return 'the args are unreadable';
  const seat = roster.indexOf(TWO_FACED);
  if (seat >= 0 && !decoded.args.equivocators.includes(seat)) return 'the proof is not named';
  if (scores.some(({ nodeId }) => nodeId === TWO_FACED)) return 'who showed two faces is paid';
  const voters = nodes.filter(({ id }) => validators.includes(id));
  const silent = voters.filter(({ id }) => !attests.some(({ nodeId }) => nodeId === id)).map(({ id }) => id);
  return silent.length === 0 ? undefined : `nodes ${silent.join(', ')} did not attest`;
}
