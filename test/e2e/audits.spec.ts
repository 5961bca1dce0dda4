// Honest in challenges, not in what is served: a hoster on real parts that gives clients other rows than its shards is named by the auditors and
// not paid (protocol.md 8.6, 13).

import assert from 'node:assert/strict';
import type { HandoverOptions } from '../../src/client/handover.ts';
import { windowsOf } from '../../src/consensus/phase.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createNetworkClient } from '../../src/node/network-client.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import { AUDIT_PROTOCOL, decodeAuditRequest, encodeListed, encodeRows } from '../../src/receipts/protocol.ts';
import { ONE } from '../../src/types/ids.ts';
import { utf8 } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { silentLog } from '../../src/util/log.ts';
import { createLoopback, type Disguise, type Loopback, recordName } from '../support/loopback.ts';

const HONEST = 1;
/** Two hosters that lack one shard each: every route needs both. */
const CHEAT = 2;
const AUDITORS: readonly number[] = [3, 4, 5, 6, 7];
const PROMPT = [2, 15, 355, 288, 262, 1376];
const OPTIONS = { maxTokens: 60, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };

describe('audits of served traffic, among real nodes', function () {
  this.timeout(10 * 60_000);
  let net: Loopback;

  async function start(cheat: Disguise): Promise<void> {
    net = await createLoopback({
      hosters: 2,
      attestors: AUDITORS.length,
      policy: { auditRate: ONE },
      disguises: { [CHEAT - 1]: cheat, ...Object.fromEntries(AUDITORS.map((id) => [id - 1, { audits: true }])) },
    });
  }
  afterEach(() => net?.stop());

  /** Serves rows that are two percent too large; challenges are answered as they should be. */
  const cheap: Disguise = {
    parts: () => ({
      async createEngine(...args) {
        const engine = await createOnnxEngine(...args);
        return {
          ...engine,
          async openSession(...opened) {
            const kv = await engine.openSession(...opened);
            return {
              ...kv,
              get length() {
                return kv.length;
              },
              async step(...step) {
                const result = await kv.step(...step);
                return result.kind === 'hidden'
                  ? { ...result, data: result.data.map((value) => 1.02 * value) }
                  : result;
              },
            };
          },
        };
      },
    }),
  };

  /** Tells auditors nothing of what it served. */
  const quiet: Disguise = {
    parts: (member) => ({
      ...cheap.parts?.(member),
      async createOverlay(...args) {
        const overlay = await createOverlay(...args);
        return {
          ...overlay,
          handleRequest(protocol, options, handler) {
            if (protocol !== AUDIT_PROTOCOL) return overlay.handleRequest(protocol, options, handler);
            return overlay.handleRequest(protocol, options, async (body) => {
              const asked = decodeAuditRequest(body);
              return asked.ok && asked.value.ask === 'list' ? encodeListed([]) : encodeRows(undefined);
            });
          },
        };
      },
    }),
  };

  async function ask(handOver?: HandoverOptions): Promise<void> {
    const ending = new AbortController();
    const identity = identityFromSeed(sha256(utf8('asker')));
    const initialPeers = net.nodes.flatMap(({ node }) => node.addresses);
    const network = await createNetworkClient(
      { initialPeers, handOver },
      { ...net, identity, log: silentLog },
      ending.signal,
    );
    const generation = network.client.generate(PROMPT, OPTIONS, ending.signal);
    await Array.fromAsync(generation);
    assert.equal(generation.failovers, 0);
    await network.close();
    ending.abort();
  }

  async function scored(epoch: number): Promise<readonly number[]> {
    const submission = await net.chain.submission(net.subnet.id, epoch as never);
    return submission?.scores.map(({ nodeId }) => nodeId) ?? [];
  }

  /** Who has named the cheat bad in an epoch, and at which shards. */
  async function accusersIn(
    epoch: number,
  ): Promise<readonly (readonly [auditor: number, shards: readonly number[]])[]> {
    const { epochLength } = await net.chain.info();
    await net.runTo(epoch, windowsOf(epochLength).score);
    const names = AUDITORS.map((id) => recordName('au', epoch, id));
    await net.until(() => net.nodes.every(({ seen }) => names.every((name) => seen.has(name))));
    return names.flatMap((name) => {
      const body = net.nodes[0]?.seen.get(name)?.body;
      assert.ok(body?.kind === 'au');
      const bad = body.verdicts.filter((verdict) => verdict.bad);
      assert.ok(bad.every(({ accused }) => accused === CHEAT));
      return bad.length === 0 ? [] : [[body.node, bad.map(({ shard }) => shard)] as const];
    });
  }

  it('names the first hop that tells auditors nothing, when clients hand over what entered it', async () => {
    await start(quiet);
    await net.runTo(net.firstEpoch, 6);
    await ask();
    assert.deepEqual(await accusersIn(net.firstEpoch), []);
    await net.runTo(net.firstEpoch + 1, 6);
    await ask({ what: 'transcripts', share: 1 });
    const accusers = await accusersIn(net.firstEpoch + 1);
    assert.ok(accusers.length > 0);
    assert.ok(accusers.every(([, shards]) => shards.every((shard) => shard === 0)));
  });

  it('names who served something else, at the shard, and pays it nothing', async () => {
    await start(cheap);
    const epoch = net.firstEpoch;
    await net.runTo(epoch, 6);
    await ask();
    const { epochLength } = await net.chain.info();
    await net.runTo(epoch, windowsOf(epochLength).score);
    const names = AUDITORS.map((id) => recordName('au', epoch, id));
    await net.until(() => net.nodes.every(({ seen }) => names.every((name) => seen.has(name))));
    for (const name of names) {
      const body = net.nodes[0]?.seen.get(name)?.body;
      assert.ok(body?.kind === 'au');
      const bad = body.verdicts.filter((verdict) => verdict.bad);
      assert.ok(bad.length > 0);
      assert.ok(bad.every(({ accused, shard }) => accused === CHEAT && shard === 0));
      assert.ok(body.verdicts.some(({ accused, bad: isBad }) => accused === HONEST && !isBad));
    }
    await net.runTo(epoch + 2, 5);
    assert.deepEqual((await scored(epoch + 1)).slice(0, 2), [HONEST, CHEAT], 'the audit came after that epoch');
    assert.deepEqual((await scored(epoch + 2)).slice(0, 1), [HONEST]);
    assert.ok(!(await scored(epoch + 2)).includes(CHEAT));
  });
});
