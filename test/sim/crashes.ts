// In every epoch a node dies at a call of the outside world, just before it or just after, starts again some blocks later and dies again, up to
// three times: it must sign nothing twice and go on with its duties (protocol.md 4, 6, 9). Every await of the paths of commit, reveal, witness, score and proposal
// lies between two of these calls. Which node, which call and how long it stays away follows from the seed.

import type { Epoch } from '../../src/types/ids.ts';
import { toHex } from '../../src/util/bytes.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { decodeRecord } from '../../src/wire/record.ts';
import { createSwarm, type Swarm } from '../unit/validator/swarm.ts';
import { createChance } from './network.ts';

export interface CrashFigures {
  readonly crashes: number;
  /** Names of the calls at which nodes died, by how often. */
  readonly at: Readonly<Record<string, number>>;
  /** Slots for which two different payloads were sent. */
  readonly twice: readonly string[];
  /** Failures other than the crash itself. */
  readonly failed: readonly string[];
  /** Epochs settled, and of them accepted. */
  readonly settled: number;
  readonly accepted: number;
  /** Epochs in which somebody died, and in how many of them it was paid all the same. */
  readonly hit: number;
  readonly paid: number;
}

const HOSTERS = 2;
const ATTESTORS = 1;
const NODES = HOSTERS + ATTESTORS;
/** Epochs of one swarm: enough that it costs little to found it. */
const SEASON_EPOCHS = 25;
/** Deaths of one node in an epoch. */
const MAX_DEATHS = 3;
/** Blocks away after a crash. */
const MAX_AWAY = 3;
const EPOCH_LENGTH = 20;

class Crash extends Error {}

/** Where a node dies: the n-th call of a name in an epoch. */
interface Doom {
  readonly name: string;
  readonly call: number;
  readonly before: boolean;
}

/** Plays that many crashes, season by season. */
export async function playCrashes(count: number, seed: number): Promise<CrashFigures> {
  const seasons: CrashFigures[] = [];
  const sum = (of: (one: CrashFigures) => number): number => seasons.reduce((total, one) => total + of(one), 0);
  for (let i = 0; sum(({ crashes }) => crashes) < count; i++) {
    const left = count - sum(({ crashes }) => crashes);
    seasons.push(await playSeason(seed + i, Math.min(SEASON_EPOCHS, Math.ceil(left / 2) + 2)));
  }
  const told = (of: (one: CrashFigures) => readonly string[]): readonly string[] =>
    seasons.flatMap((one, i) => of(one).map((what) => `seed ${seed + i}: ${what}`));
  const names = [...new Set(seasons.flatMap(({ at }) => Object.keys(at)))].sort();
  return {
    crashes: sum(({ crashes }) => crashes),
    at: Object.fromEntries(names.map((name) => [name, sum(({ at }) => at[name] ?? 0)])),
    twice: told(({ twice }) => twice),
    failed: told(({ failed }) => failed),
    settled: sum(({ settled }) => settled),
    accepted: sum(({ accepted }) => accepted),
    hit: sum(({ hit }) => hit),
    paid: sum(({ paid }) => paid),
  };
}

async function playSeason(seed: number, epochs: number): Promise<CrashFigures> {
  const chance = createChance(seed);
  const pick = (below: number): number => Math.floor(chance() * below);
  const at: Record<string, number> = {};
  /** `node kind epoch` -> what was sent under it. */
  const said = new Map<string, Set<string>>();
  /** Epoch -> who died in it. */
  const died = new Map<number, number>();
  let epoch = -1;
  let doom: Doom | undefined;
  /** Who is watched in this epoch, and its calls by name. */
  let watched = 1;
  let calls = new Map<string, number>();
  /** Calls of an epoch without deaths. */
  let usual: ReadonlyMap<string, number> = new Map();
  let away = 0;
  let deaths = 0;
  let crashes = 0;

  /** Whether this call is the one. */
  function isDoomed(node: number, name: string): boolean {
    if (node !== watched) return false;
    const call = calls.get(name) ?? 0;
    calls.set(name, call + 1);
    return doom?.name === name && doom.call === call;
  }

  function say(node: number, slot: string, what: string): void {
    const name = `node ${node}, ${slot}`;
    said.set(name, (said.get(name) ?? new Set()).add(what));
  }

  function instrument(deps: ValidatorDeps, node: number, all: Swarm): ValidatorDeps {
    let isDead = false;
    function crash(name: string): never {
      if (isDead) throw new Crash('dead');
      isDead = true;
      died.set(epoch, node);
      away = pick(MAX_AWAY);
      at[name] = (at[name] ?? 0) + 1;
      crashes += 1;
      deaths += 1;
      doom = deaths < MAX_DEATHS ? nextDoom() : undefined;
      void all.nodes[node - 1]?.kill();
      throw new Crash('killed');
    }
    function may<Args extends unknown[], T>(name: string, call: (...args: Args) => T): (...args: Args) => T {
      return (...args) => {
        if (isDead) throw new Crash('dead');
        const isIt = isDoomed(node, name);
        if (isIt && doom?.before === true) crash(name);
        const result = call(...args);
        if (!isIt) return result;
        const end = () => crash(name);
        return result instanceof Promise ? (result.then(end, end) as T) : end();
      };
    }
    const { chain, overlay, journal, engine } = deps;
    return {
      ...deps,
      ...(engine === undefined ? {} : { engine: { challenge: may('engine.challenge', engine.challenge) } }),
      journal: {
        ...journal,
        keep: may('journal.keep', journal.keep),
        claim: may('journal.claim', journal.claim),
        saveFact: may('journal.saveFact', journal.saveFact),
      },
      overlay: {
        ...overlay,
        publish: may('overlay.publish', (topic, message) => {
          const decoded = decodeRecord(message);
          if (!decoded.ok) throw new Error('publishes what is no record');
          const { body, id } = decoded.record;
          say(node, `${body.kind} ${body.epoch}`, toHex(id));
          return overlay.publish(topic, message);
        }),
        putRecord: may('overlay.putRecord', overlay.putRecord),
        request: may('overlay.request', overlay.request),
      },
      chain: {
        ...chain,
        head: may('chain.head', chain.head),
        nodes: may('chain.nodes', chain.nodes),
        subnet: may('chain.subnet', chain.subnet),
        blockHash: may('chain.blockHash', chain.blockHash),
        electedValidator: may('chain.electedValidator', chain.electedValidator),
        submission: may('chain.submission', chain.submission),
        propose: may('chain.propose', (hotkey, proposal, options) => {
          const { args, scores } = proposal;
          say(node, `proposal ${proposal.epoch}`, toHex(args) + String(scores.map(({ score }) => score)));
          return chain.propose(hotkey, proposal, options);
        }),
        attest: may('chain.attest', (hotkey, subnet, of, data, options) => {
          say(node, `vote ${of}`, toHex(data));
          return chain.attest(hotkey, subnet, of, data, options);
        }),
      },
    };
  }

  /** A call that an epoch usually has, behind those that there were already; any name is as likely as any other. */
  function nextDoom(): Doom {
    const names = [...usual.keys()];
    const name = names[pick(names.length)] ?? 'journal.claim';
    return { name, call: (calls.get(name) ?? 0) + pick(usual.get(name) ?? 1), before: pick(2) === 0 };
  }

  const swarm = await createSwarm({
    hosters: HOSTERS,
    attestors: ATTESTORS,
    seed,
    challengeTokens: 1,
    wrapAll: instrument,
  });
  try {
    const last = swarm.firstEpoch + epochs;
    for (epoch = swarm.firstEpoch; epoch <= last; epoch++) {
      if (epoch === swarm.firstEpoch + 1) usual = calls;
      calls = new Map();
      deaths = 0;
      watched = 1 + pick(NODES);
      doom = epoch > swarm.firstEpoch && epoch < last ? nextDoom() : undefined;
      for (let offset = 0; offset < EPOCH_LENGTH; offset++) {
        await swarm.runTo(epoch, offset);
        for (const node of swarm.nodes) if (!node.running && away-- <= 0) node.start();
      }
    }
    doom = undefined;
    await swarm.runTo(last + 1, 1);
    return {
      crashes,
      at,
      twice: [...said].filter(([, payloads]) => payloads.size > 1).map(([slot]) => slot),
      failed: swarm.nodes.flatMap(({ id, events }) =>
        events.flatMap((event) => (event.type === 'failed' ? [`node ${id}, ${event.what}: ${event.message}`] : [])),
      ),
      ...(await settledOf(swarm, died, last)),
    };
  } finally {
    await swarm.stop();
  }
}

async function settledOf(swarm: Swarm, died: ReadonlyMap<number, number>, last: number) {
  const figures = { settled: 0, accepted: 0, hit: died.size, paid: 0 };
  for (let epoch = swarm.firstEpoch + 1; epoch <= last; epoch++) {
    const result = await swarm.chain.chain.result(swarm.subnet, epoch as Epoch);
    figures.settled += 1;
    if (result?.outcome === 'Accepted') figures.accepted += 1;
    const victim = died.get(epoch - 1);
    const scores = await swarm.scores(epoch);
    if (victim !== undefined && (scores.get(victim) ?? 0n) > 0n) figures.paid += 1;
  }
  return figures;
}
