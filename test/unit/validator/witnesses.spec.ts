// What is named on chain and what a voter makes of it (protocol.md 7, 9): quorums of witnesses, proofs, patience.

import assert from 'node:assert/strict';
import { firstBlock } from '../../../src/consensus/phase.ts';
import type { Epoch } from '../../../src/types/ids.ts';
import { fromHex } from '../../../src/util/bytes.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import { decodeRequest } from '../../../src/validator/evidence-protocol.ts';
import type { ValidatorDeps } from '../../../src/validator/validator.ts';
import { decodeArgs, type EvidenceArgs, encodeArgs } from '../../../src/wire/evidence.ts';
import { signRecord } from '../../../src/wire/record.ts';
import { keyOfBody } from '../../../src/wire/record-key.ts';
import { createSwarm, type Swarm, type SwarmNode } from './swarm.ts';

const SEATS = 5;

describe('named evidence', () => {
  let swarm: Swarm | undefined;

  afterEach(async () => {
    await swarm?.stop();
    swarm = undefined;
  });

  async function start(options: Partial<Parameters<typeof createSwarm>[0]> = {}): Promise<Swarm> {
    swarm = await createSwarm({ hosters: 4, attestors: 1, ...options });
    return swarm;
  }

  async function argsOf({ submission }: Swarm, epoch: number): Promise<EvidenceArgs> {
    const decoded = decodeArgs((await submission(epoch))?.args ?? new Uint8Array(), SEATS);
    assert.ok(decoded.ok);
    return decoded.args;
  }

  it('names every witness when all agree', async () => {
    const all = await start();
    await all.runTo(all.firstEpoch + 1, 19);
    const { first, second, equivocators } = await argsOf(all, all.firstEpoch + 1);
    assert.deepEqual([first, second, equivocators], [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], []]);
  });

  it('is empty, and everybody agrees, when too few saw the lists close', async () => {
    const all = await start();
    const { firstEpoch, runTo, nodes, submission, chain, subnet } = all;
    await runTo(firstEpoch, 5);
    for (const node of nodes.slice(3)) await node.kill();
    await runTo(firstEpoch, 15);
    for (const node of nodes.slice(3)) node.start();
    await runTo(firstEpoch + 2, 1);
    assert.deepEqual((await argsOf(all, firstEpoch + 1)).first, []);
    assert.equal((await submission(firstEpoch + 1))?.attests.length, SEATS);
    assert.equal((await chain.chain.result(subnet, (firstEpoch + 1) as Epoch))?.outcome, 'Empty');
  });

  it('waits two blocks for a witness that is missing, then goes on without', async () => {
    const all = await start();
    const { firstEpoch, runTo, nodes, submission, clock } = all;
    await runTo(firstEpoch, 12);
    await nodes[4]?.kill();
    await runTo(firstEpoch + 1, 1);
    assert.equal(await submission(firstEpoch + 1), undefined);
    await runTo(firstEpoch + 1, 19);
    const submitted = await submission(firstEpoch + 1);
    if (submitted === undefined) assert.fail('nobody proposed');
    assert.equal(
      submitted.block,
      firstBlock((firstEpoch + 1) as Epoch, clock) + 3,
      'submitted at 2, included in the next',
    );
    const { first, second } = await argsOf(all, firstEpoch + 1);
    assert.deepEqual(
      [first, second],
      [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3],
      ],
    );
    assert.equal(submitted.attests.length, 4);
  });

  it('is proposed whole by a node that was started again in the last block of the epoch', async () => {
    const { firstEpoch, runTo, nodes, submission, chain, subnet } = await start();
    const node = nodes[0] as SwarmNode;
    let epoch = firstEpoch as number;
    do {
      await runTo(epoch, 17);
      await node.kill();
      await runTo(epoch, 18);
      node.start();
      epoch += 1;
      await runTo(epoch, 0);
    } while ((await chain.chain.electedValidator(subnet, epoch as Epoch)) !== node.id);
    await runTo(epoch, 5);
    const submitted = await submission(epoch);
    assert.deepEqual(
      submitted?.scores.map(({ nodeId }) => nodeId),
      [1, 2, 3, 4, 5],
    );
    assert.equal(submitted?.attests.length, SEATS);
  });

  for (const [name, change, code] of [
    ['one witness', (args: EvidenceArgs) => ({ ...args, second: [1] }), 'PROPOSAL_FEW_WITNESSES'],
    [
      'fewer witnesses than the root is over',
      (args: EvidenceArgs) => ({ ...args, first: args.first.slice(1) }),
      'PROPOSAL_ROOT_MISMATCH',
    ],
    [
      'somebody as proven without proof',
      (args: EvidenceArgs) => ({ ...args, equivocators: [0] }),
      'PROPOSAL_ROOT_MISMATCH',
    ],
    ['another epoch', (args: EvidenceArgs) => ({ ...args, epoch: (args.epoch + 1) as Epoch }), 'PROPOSAL_UNREADABLE'],
  ] as const) {
    it(`finds no vote that names ${name}: ${code}`, async () => {
      const naming = (deps: ValidatorDeps) => renaming(deps, change);
      const { firstEpoch, runTo, nodes, submission } = await start({
        wrap: { 0: naming, 1: naming, 2: naming, 3: naming, 4: naming },
      });
      await runTo(firstEpoch + 1, 19);
      assert.equal((await submission(firstEpoch + 1))?.attests.length, 1);
      const codes = nodes.flatMap(({ events }) =>
        events.flatMap((event) => (event.type === 'abstained' && event.epoch === firstEpoch + 1 ? [event.code] : [])),
      );
      assert.deepEqual([...new Set(codes)], [code]);
    });
  }

  it('is found behind peers that tell nonsense about it', async () => {
    const lies = [
      () => new Uint8Array([1, 2, 3]),
      () => encodeCbor({ v: 1, n: Array.from({ length: 11 }, () => []) }),
      () =>
        encodeCbor({ v: 1, n: Array.from({ length: 11 }, () => Array.from({ length: 5 }, () => new Uint8Array(32))) }),
    ];
    const lying = Object.fromEntries(lies.map((lie, i) => [i, (deps: ValidatorDeps) => telling(deps, lie)]));
    const archiveless = (deps: ValidatorDeps): ValidatorDeps => ({
      ...deps,
      overlay: { ...deps.overlay, putRecord: async () => 0 },
    });
    const all = [0, 1, 2, 3, 4].map(
      (i) => [i, (deps: ValidatorDeps) => archiveless(lying[i]?.(deps) ?? deps)] as const,
    );
    const { firstEpoch, runTo, nodes, submission, chain, subnet } = await start({
      gossipLoss: 1,
      wrap: { ...Object.fromEntries(all), 4: (deps) => onlyNaming(archiveless(deps)) },
    });
    await runTo(firstEpoch + 3, 19);
    const voter = nodes[4] as SwarmNode;
    let votes = 0;
    for (let epoch = firstEpoch + 1; epoch <= firstEpoch + 3; epoch++) {
      const proposer = await chain.chain.electedValidator(subnet, epoch as Epoch);
      if (proposer === voter.id) continue;
      const submitted = await submission(epoch);
      assert.ok(
        submitted?.attests.some(({ nodeId }) => nodeId === voter.id),
        `epoch ${epoch}`,
      );
      votes += 1;
    }
    assert.ok(votes > 0);
  });

  it('is proposed by a node that was shown two other faces of somebody', async () => {
    const { firstEpoch, runTo, nodes, submission, chain, ...rest } = await start();
    const [liar, shown] = [nodes[0] as SwarmNode, nodes[4] as SwarmNode];
    let epoch = firstEpoch as number;
    do {
      epoch += 1;
      await runTo(epoch, 2);
      const head = { genesis: fromHex(rest.genesis), subnet: rest.subnet, node: liar.id, epoch: epoch as Epoch };
      for (const byte of [1, 2]) {
        const filled = new Uint8Array(32).fill(byte);
        const face = signRecord(
          { kind: 'hc', ...head, commitment: filled, manifest: filled, audits: false },
          liar.identity,
        );
        assert.equal(shown.validator.judge(keyOfBody(face.body), face.bytes), 'accept');
      }
      await runTo(epoch + 1, 0);
    } while ((await chain.chain.electedValidator(rest.subnet, (epoch + 1) as Epoch)) !== shown.id);
    await runTo(epoch + 1, 6);
    const submitted = await submission(epoch + 1);
    assert.deepEqual(
      submitted?.scores.map(({ nodeId }) => nodeId),
      [2, 3, 4, 5],
    );
    assert.equal(submitted?.attests.length, SEATS, 'the liar itself agrees');
  });

  it('carries proofs that a voter did not have: it fetches and checks them', async () => {
    const { firstEpoch, runTo, nodes, submission, chain, ...rest } = await start();
    const [liar, voter] = [nodes[0] as SwarmNode, nodes[4] as SwarmNode];
    let epoch = firstEpoch as number;
    do {
      epoch += 1;
      await runTo(epoch, 19);
      const filled = new Uint8Array(32).fill(7);
      const head = { genesis: fromHex(rest.genesis), subnet: rest.subnet, node: liar.id, epoch: epoch as Epoch };
      const second = signRecord(
        { kind: 'hc', ...head, commitment: filled, manifest: filled, audits: false },
        liar.identity,
      );
      // Late, so it is not passed on; it is a proof all the same.
      for (const node of nodes.slice(1, 4)) node.validator.judge(keyOfBody(second.body), second.bytes);
      await runTo(epoch + 1, 0);
    } while (![2, 3, 4].includes(Number(await chain.chain.electedValidator(rest.subnet, (epoch + 1) as Epoch))));
    await runTo(epoch + 1, 3);
    const submitted = await submission(epoch + 1);
    assert.deepEqual((await argsOf(swarm as Swarm, epoch + 1)).equivocators, [0]);
    assert.ok(submitted?.scores.every(({ nodeId }) => nodeId !== liar.id));
    assert.ok(submitted?.attests.some(({ nodeId }) => nodeId === voter.id));
  });
});

/** A proposer that names something else than it computed from. */
function renaming(deps: ValidatorDeps, change: (args: EvidenceArgs) => EvidenceArgs): ValidatorDeps {
  const { chain } = deps;
  const propose: typeof chain.propose = (hotkey, proposal, options) => {
    const decoded = decodeArgs(proposal.args, SEATS);
    const args = decoded.ok ? encodeArgs(change(decoded.args), SEATS) : proposal.args;
    return chain.propose(hotkey, { ...proposal, args }, options);
  };
  return { ...deps, chain: { ...chain, propose } };
}

/** Answers the question for the ids of evidence with something else. */
function telling(deps: ValidatorDeps, lie: () => Uint8Array): ValidatorDeps {
  const { overlay } = deps;
  const handleRequest: typeof overlay.handleRequest = (protocol, options, handler) =>
    overlay.handleRequest(protocol, options, async (body, from, signal) =>
      decodeRequest(body)?.ask === 'named' ? lie() : handler(body, from, signal),
    );
  return { ...deps, overlay: { ...overlay, handleRequest } };
}

/** Never asks what it lacks of a list: all it has of others is what proposals name. */
function onlyNaming(deps: ValidatorDeps): ValidatorDeps {
  const { overlay } = deps;
  const request: typeof overlay.request = async (peer, protocol, body, options) => {
    if (decodeRequest(body)?.ask === 'lack') throw new Error('not sent');
    return overlay.request(peer, protocol, body, options);
  };
  return { ...deps, overlay: { ...overlay, request } };
}
