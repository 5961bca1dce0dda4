// A node is killed right after every call of the outside world that an epoch's duties make, and started again a block later: it signs
// nothing twice, proposes the same, and is paid (protocol.md 4, 6, 9). Every await of the paths of commit, reveal, witness, score and
// proposal lies between two of these calls.

import assert from 'node:assert/strict';
import type { Epoch } from '../../src/types/ids.ts';
import { toHex } from '../../src/util/bytes.ts';
import type { ValidatorDeps } from '../../src/validator/validator.ts';
import { decodeRecord } from '../../src/wire/record.ts';
import { createSwarm, type Swarm, type SwarmNode } from '../unit/validator/swarm.ts';

const SEED = 1;
const HOSTERS = 4;
const ATTESTORS = 1;

/** The n-th call in the epoch. */
interface Point {
  readonly call: number;
  readonly name: string;
}

interface Scene {
  readonly swarm: Swarm;
  /** Slot -> ids of records that the victim sent; and what it proposed per epoch. */
  readonly said: ReadonlyMap<string, ReadonlySet<string>>;
  /** Names of the victim's calls in the epoch, in order. */
  readonly calls: readonly string[];
  readonly crashed: boolean;
}

class Crash extends Error {}

/** Runs to the end of the epoch after the one in question; the victim crashes at the point. */
async function play(victim: number | undefined, point: Point | undefined): Promise<Scene> {
  const said = new Map<string, Set<string>>();
  const calls: string[] = [];
  let crashed = false;
  let swarm: Swarm | undefined;

  const say = (slot: string, what: string): void => void said.set(slot, (said.get(slot) ?? new Set()).add(what));

  function crash(): never {
    crashed = true;
    void victimOf()?.kill();
    throw new Crash('killed');
  }

  function victimOf(): SwarmNode | undefined {
    return victim === undefined ? undefined : swarm?.nodes[victim];
  }

  /** The call goes through the crash point, if this is it. */
  function at<Args extends unknown[], T>(name: string, call: (...args: Args) => T): (...args: Args) => T {
    return (...args) => {
      if (epochNow() !== crashEpoch()) return call(...args);
      const isIt = !crashed && point?.call === calls.push(name) - 1;
      const result = call(...args);
      if (!isIt) return result;
      if (result instanceof Promise) return result.then(crash, crash) as T;
      return crash();
    };
  }

  const epochNow = (): number => {
    const duty = victimOf()?.validator.status().duty;
    return duty?.at === 'epoch' ? duty.epoch : -1;
  };
  const crashEpoch = (): number => (swarm?.firstEpoch ?? 0) + 2;

  function instrument({ chain, overlay, journal, engine, ...rest }: ValidatorDeps): ValidatorDeps {
    return {
      ...rest,
      ...(engine === undefined ? {} : { engine: { challenge: at('engine.challenge', engine.challenge) } }),
      journal: {
        ...journal,
        keep: at('journal.keep', journal.keep),
        claim: at('journal.claim', journal.claim),
        saveFact: at('journal.saveFact', journal.saveFact),
      },
      overlay: {
        ...overlay,
        publish: at('overlay.publish', (topic, message) => {
          const decoded = decodeRecord(message);
          if (decoded.ok) {
            const { kind, epoch } = decoded.record.body;
            say(`${kind} ${epoch}`, toHex(decoded.record.id));
          }
          return overlay.publish(topic, message);
        }),
        putRecord: at('overlay.putRecord', overlay.putRecord),
        request: at('overlay.request', overlay.request),
      },
      chain: {
        ...chain,
        nodes: at('chain.nodes', chain.nodes),
        blockHash: at('chain.blockHash', chain.blockHash),
        electedValidator: at('chain.electedValidator', chain.electedValidator),
        submission: at('chain.submission', chain.submission),
        propose: at('chain.propose', (hotkey, proposal, options) => {
          say(`proposal ${proposal.epoch}`, toHex(proposal.args) + String(proposal.scores.map(({ score }) => score)));
          return chain.propose(hotkey, proposal, options);
        }),
      },
    };
  }

  const wrap = victim === undefined ? {} : { [victim]: instrument };
  swarm = await createSwarm({ hosters: HOSTERS, attestors: ATTESTORS, seed: SEED, wrap });
  const epoch = crashEpoch();
  for (let offset = 0; offset < 20; offset++) {
    await swarm.runTo(epoch, offset);
    const node = victimOf();
    if (node !== undefined && !node.running) node.start();
  }
  await swarm.runTo(epoch + 2, 1);
  return { swarm, said, calls, crashed };
}

describe('crashes', function () {
  this.timeout(10 * 60_000);

  it('cost a node nothing that a block later cannot be made good, wherever they come', async () => {
    const plain = await play(undefined, undefined);
    const epoch = (plain.swarm.firstEpoch + 2) as Epoch;
    const elected = await plain.swarm.chain.chain.electedValidator(plain.swarm.subnet, epoch);
    await plain.swarm.stop();
    const victim = Number(elected) - 1;
    assert.ok(victim < HOSTERS, 'with this seed a hoster proposes in the epoch of the crash');
    const observed = await play(victim, undefined);
    await observed.swarm.stop();

    const points = pointsOf(observed.calls);
    assert.ok(points.length > 30, String(observed.calls));
    for (const point of points) {
      const scene = await play(victim, point);
      const { swarm, said, crashed } = scene;
      const told = `after call ${point.call}, ${point.name}`;
      try {
        assert.ok(crashed, told);
        for (const [slot, ids] of said) assert.equal(ids.size, 1, `${slot} says ${ids.size} things: crash ${told}`);
        assert.equal((await swarm.chain.chain.result(swarm.subnet, epoch))?.outcome, 'Accepted', told);
        const scores = await swarm.scores(epoch + 1);
        const [mine, most] = [scores.get(victim + 1) ?? 0n, [...scores.values()].reduce((a, b) => (a > b ? a : b), 0n)];
        // A witness less costs half of what voting pays.
        assert.ok(mine * 10n > most * 8n, `paid ${mine}, others ${most}: crash ${told}`);
        const failed = swarm.nodes[victim]?.events.filter(({ type }) => type === 'failed');
        assert.deepEqual(failed, [], told);
        assert.equal((await swarm.submission(epoch + 1))?.attests.length, HOSTERS + ATTESTORS, told);
      } finally {
        await swarm.stop();
      }
    }
  });
});

/** All that is written, sent or computed; questions, which change nothing, the first time each is asked. */
function pointsOf(calls: readonly string[]): readonly Point[] {
  const asked = new Set<string>();
  return calls.flatMap((name, call): Point[] => {
    const isQuestion = /^chain\.(nodes|blockHash|electedValidator|submission)|request$/.test(name);
    if (isQuestion && asked.has(name)) return [];
    asked.add(name);
    return [{ call, name }];
  });
}
