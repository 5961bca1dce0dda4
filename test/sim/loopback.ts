// Real nodes over real libp2p on loopback, blocks made by hand as soon as nobody has anything to do: some are killed half way, one signs two
// commitments in every epoch. What each held when its lists closed is what its witnesses say (protocol.md 7, 10).

import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { Epoch } from '../../src/types/ids.ts';
import type { Witness, WitnessList } from '../../src/types/record.ts';
import { SHORT_ID_BYTES } from '../../src/types/record.ts';
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
  /** Proposals of honest nodes that ran; and those that name the proof and that all who ran attested. */
  readonly proposed: number;
  readonly proven: number;
  readonly unproven: readonly string[];
  readonly accepted: number;
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
    // A short run goes on until somebody honest was elected.
    for (let epoch = first; epochs < scene.epochs || figures.proposed === 0; epoch++) {
      epochs += 1;
      // In the middle of the epoch half way: commitments are out, reveals are not.
      if (epoch === half) await killAt(net, half, victims);
      await net.runTo(epoch + 1, 4);
      const different = differencesIn(net, epoch);
      if (different === undefined) figures.identical += 1;
      else differences.push(`epoch ${epoch}: ${different}`);
      const settled = epoch > first ? await settledOf(net, epoch) : undefined;
      if (settled?.accepted === true) figures.accepted += 1;
      if (settled?.isHonest === true) {
        figures.proposed += 1;
        if (settled.why === undefined) figures.proven += 1;
        else unproven.push(`epoch ${epoch}: ${settled.why}`);
      }
      const proof =
        settled?.isHonest === true ? (settled.why ?? 'proven to all') : 'nothing proposed by an honest node';
      scene.say?.(`epoch ${epoch}: ${different ?? 'identical'}; ${proof}`);
    }
    const failed = net.nodes.flatMap(({ id, events }) =>
      events.flatMap((event) => (event.type === 'failed' ? [`node ${id}, ${event.what}: ${event.message}`] : [])),
    );
    const seconds = (performance.now() - started) / 1000;
    return { epochs, ...figures, differences, unproven, killed: victims, failed, seconds };
  } finally {
    await net.stop();
  }
}

const KILL_AT = 7;

async function killAt(net: Loopback, epoch: number, victims: readonly number[]): Promise<void> {
  await net.runTo(epoch, KILL_AT);
  await Promise.all(victims.map((id) => net.end(id)));
}

/** Whether those who run witnessed the same, the two faces aside: of these each lists the one that it saw first. */
function differencesIn({ nodes }: Loopback, epoch: number): string | undefined {
  for (const kind of WITNESSES) {
    const lists = nodes.map(({ id, seen }) => {
      const found = seen.get(recordName(kind, epoch, id))?.body;
      return found?.kind === kind ? { id, text: textOf(found) } : { id, text: 'nothing' };
    });
    const odd = lists.find(({ text }) => text !== lists[0]?.text || text === 'nothing');
    if (odd !== undefined)
      return `${kind} of node ${odd.id} is ${odd.text.slice(0, 400)}, of node ${lists[0]?.id} ${lists[0]?.text.slice(0, 400)}`;
  }
  return undefined;
}

function textOf({ kind, held }: Witness): string {
  return held.map((list, i) => `${kind}${i}: ${listText(list, kind === 'wa' && i === 0)}`).join('; ');
}

function listText({ seats, ids }: WitnessList, isCommits: boolean): string {
  return bitsOf(seats)
    .map((seat, i) => {
      const short = toHex(ids.subarray(i * SHORT_ID_BYTES, (i + 1) * SHORT_ID_BYTES)).slice(0, 6);
      return isCommits && seat === TWO_FACED - 1 ? `${seat}` : `${seat}=${short}`;
    })
    .join(' ');
}

/** The submission for an epoch's scores, which is settled in the next one. */
async function settledOf(net: Loopback, epoch: number) {
  const { chain, subnet, nodes } = net;
  const submitted = await chain.submission(subnet.id, epoch as Epoch);
  const proposer = await chain.electedValidator(subnet.id, epoch as Epoch);
  const accepted = (await chain.result(subnet.id, epoch as Epoch))?.outcome === 'Accepted';
  const isHonest = proposer !== TWO_FACED && nodes.some(({ id }) => id === proposer);
  return { accepted, isHonest, why: submitted === undefined ? 'nothing was proposed' : whyUnproven(net, submitted) };
}

type Submitted = NonNullable<Awaited<ReturnType<Loopback['chain']['submission']>>>;

/** Who attested has held the proof: its ids are in the root. */
function whyUnproven({ nodes }: Loopback, { args, attests, scores }: Submitted): string | undefined {
  const seats = Math.max(...nodes.map(({ id }) => id));
  const decoded = [...Array(256).keys()].map((more) => decodeArgs(args, seats + more)).find(({ ok }) => ok);
  if (decoded?.ok !== true) return 'the args are unreadable';
  if (!decoded.args.equivocators.includes(TWO_FACED - 1)) return 'the proof is not named';
  if (scores.some(({ nodeId }) => nodeId === TWO_FACED)) return 'who showed two faces is paid';
  const silent = nodes.filter(({ id }) => !attests.some(({ nodeId }) => nodeId === id)).map(({ id }) => id);
  return silent.length === 0 ? undefined : `nodes ${silent.join(', ')} did not attest`;
}
