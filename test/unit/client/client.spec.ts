import assert from 'node:assert/strict';
import { createClient } from '../../../src/client/client.ts';
import { createDirectory } from '../../../src/client/directory.ts';
import { ClientError } from '../../../src/client/generation.ts';
import { generateLocal } from '../../../src/client/local.ts';
import { EngineError } from '../../../src/engine/types.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import { silentLog } from '../../../src/util/log.ts';
import {
  collect,
  createFakeEngine,
  GENESIS,
  GREEDY,
  identityOf,
  MODEL,
  type Net,
  promptOf,
  SAMPLED,
  SUBNET,
  startNet,
} from './net.ts';

const never = new AbortController().signal;

function local(prompt: readonly number[], options = GREEDY) {
  return collect(generateLocal(createFakeEngine(), MODEL, prompt, options, never));
}

function openSessions(net: Net): number {
  return net.hosters.reduce((sum, { engine }) => sum + engine.open.size, 0);
}

describe('client: tokens from the network', () => {
  let net: Net;
  beforeEach(async () => {
    net = await startNet();
  });
  afterEach(async () => {
    await net.close();
  });

  for (const [name, options] of Object.entries({ greedy: GREEDY, sampled: SAMPLED })) {
    for (const length of [1, 63, 64, 65, 200]) {
      it(`equals a local run: ${name}, prompt of ${length}`, async () => {
        const prompt = promptOf(length);
        const generation = net.client.generate(prompt, options, never);
        const tokens = await collect(generation);
        assert.deepEqual(tokens, await local(prompt, options));
        assert.equal(tokens.length, options.maxTokens);
        assert.equal(generation.finish, 'length');
        assert.equal(generation.failovers, 0);
        assert.ok(new Set(generation.route.map((hop) => hop.peer)).size >= 2);
      });
    }
  }

  it('frees every session when done', async () => {
    await collect(net.client.generate(promptOf(10), GREEDY, never));
    await net.settle();
    assert.equal(openSessions(net), 0);
    assert.deepEqual(
      net.hosters.map(({ hoster }) => hoster.stats().sessions),
      [0, 0, 0, 0],
    );
  });

  it('tells the likeliest tokens beside each one when asked, and draws the same', async () => {
    const plain = await collect(net.client.generate(promptOf(9), SAMPLED, never));
    const told = await collect(net.client.generate(promptOf(9), { ...SAMPLED, alternatives: 3 }, never));
    assert.deepEqual(
      told.map(({ id, logprob }) => [id, logprob]),
      plain.map(({ id, logprob }) => [id, logprob]),
    );
    for (const { alternatives = [] } of told) {
      const [a, b, c] = alternatives.map(({ logprob }) => logprob);
      assert.ok(a !== undefined && b !== undefined && c !== undefined && a > b && b > c && a < 0);
    }
  });

  it('ends at a stop id without giving it out', async () => {
    const [first, second] = await local(promptOf(9));
    const generation = net.client.generate(promptOf(9), { ...GREEDY, stopIds: [second?.id ?? -1] }, never);
    assert.deepEqual(await collect(generation), first?.id === second?.id ? [] : [first]);
    assert.equal(generation.finish, 'stop');
  });

  it('serves several generations at once', async () => {
    const prompts = [3, 70, 130].map(promptOf);
    const all = await Promise.all(prompts.map((prompt) => collect(net.client.generate(prompt, SAMPLED, never))));
    assert.deepEqual(all, await Promise.all(prompts.map((prompt) => local(prompt, SAMPLED))));
  });

  it('leaves no stream behind: more generations in a row than streams are allowed', async () => {
    const narrow = await startNet({ limits: { streamsPerPeer: 2 } });
    for (let i = 0; i < 6; i += 1) {
      const generation = narrow.client.generate(promptOf(3), { ...GREEDY, maxTokens: 2 }, never);
      await collect(generation);
      assert.equal(generation.failovers, 0);
      assert.equal(generation.route[0]?.node, 2, 'nobody is refused');
      await narrow.settle();
    }
    await narrow.close();
  });

  it('a client that comes between two announces asks for them', async () => {
    const identity = identityOf(201);
    const overlay = net.network.join(identity);
    const chain = { heads: net.heads, nodes: net.nodes };
    const options = { subnet: SUBNET, genesis: GENESIS };
    const directory = createDirectory(options, { overlay, chain, verify: verifySignature, log: silentLog });
    const controller = new AbortController();
    const running = directory.run(controller.signal);
    assert.deepEqual(directory.offers(), []);
    const client = createClient(
      { model: MODEL },
      { overlay, chain, directory, identity, verify: verifySignature, log: silentLog },
    );
    assert.deepEqual(await collect(client.generate(promptOf(5), GREEDY, never)), await local(promptOf(5)));
    controller.abort();
    await running;
  });

  it('cuts the answer to the context and refuses a prompt beyond it', async () => {
    const generation = net.client.generate(promptOf(MODEL.maxContext - 2), GREEDY, never);
    assert.equal((await collect(generation)).length, 2);
    assert.throws(() => net.client.generate(promptOf(MODEL.maxContext), GREEDY, never), { code: 'PROMPT_TOO_LONG' });
    assert.throws(() => net.client.generate([], GREEDY, never), { code: 'PROMPT_EMPTY' });
    assert.throws(() => net.client.generate([1], { ...GREEDY, topP: 0 }, never), RangeError);
  });

  it('breaking out of the loop frees every hop', async () => {
    for await (const token of net.client.generate(promptOf(5), GREEDY, never)) {
      assert.equal(token.position, 5);
      break;
    }
    await net.settle();
    assert.equal(openSessions(net), 0);
  });

  it('an abort frees every hop, also while a step runs', async () => {
    const controller = new AbortController();
    for (const { engine } of net.hosters) {
      engine.beforeStep = (at) => {
        if (at >= 7) controller.abort(new Error('enough'));
      };
    }
    await assert.rejects(collect(net.client.generate(promptOf(5), GREEDY, controller.signal)), /enough/);
    await net.settle();
    assert.equal(openSessions(net), 0);
  });
});

describe('client: guesses', () => {
  /** The fake's tokens hardly repeat, so that most guesses are wrong; this prompt has every pair of them. */
  const repetitive = Array.from({ length: 60 }, (_, i) => i % 3);

  for (const [name, options] of Object.entries({ greedy: GREEDY, sampled: SAMPLED })) {
    it(`change no token: ${name}`, async () => {
      const net = await startNet();
      const deps = { ...net, chain: { heads: net.heads }, verify: verifySignature, log: silentLog };
      const client = createClient({ model: MODEL, drafts: 6 }, deps);
      for (const prompt of [repetitive, promptOf(10)]) {
        const wanted = { ...options, maxTokens: 120 };
        const generation = client.generate(prompt, wanted, never);
        assert.deepEqual(await collect(generation), await local(prompt, wanted));
        assert.equal(generation.failovers, 0);
      }
      await net.settle();
      assert.equal(openSessions(net), 0);
      await net.close();
    });
  }

  it('a hop that dies with guesses on their way is replaced as ever', async () => {
    const net = await startNet();
    const deps = { ...net, chain: { heads: net.heads }, verify: verifySignature, log: silentLog };
    const client = createClient({ model: MODEL, drafts: 6 }, deps);
    const { route } = await routeOf(net);
    const victim = net.hosters.find(({ peer }) => peer === route[0]?.peer);
    assert.ok(victim);
    const wanted = { ...SAMPLED, maxTokens: 60 };
    victim.engine.beforeStep = (position) => {
      if (position === repetitive.length + 30) net.network.kill(victim.peer);
    };
    const generation = client.generate(repetitive, wanted, never);
    assert.deepEqual(await collect(generation), await local(repetitive, wanted));
    assert.equal(generation.failovers, 1);
    await net.close();
  });
});

describe('client: hops that fail', () => {
  const prompt = promptOf(70);
  /** Two prefill chunks and eleven single tokens. */
  const CALLS = [0, 64, ...Array.from({ length: GREEDY.maxTokens - 1 }, (_, i) => 70 + i)];

  for (const hop of [0, 1]) {
    for (const at of CALLS) {
      it(`hop ${hop} is killed in the step at ${at}: the tokens stay`, async () => {
        const net = await startNet();
        const { route } = await routeOf(net);
        const victim = net.hosters.find(({ peer }) => peer === route[hop]?.peer);
        assert.ok(victim);
        victim.engine.beforeStep = (position) => {
          if (position === at) net.network.kill(victim.peer);
        };
        const generation = net.client.generate(prompt, SAMPLED, never);
        assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
        assert.equal(generation.failovers, 1);
        assert.ok(generation.route.every(({ peer }) => peer !== victim.peer));
        await net.settle();
        const living = net.hosters.filter((node) => node !== victim);
        assert.ok(living.every(({ engine }) => engine.open.size === 0));
        await net.close();
      });
    }
  }

  it('two hops die one after the other', async () => {
    const net = await startNet();
    let killed = 0;
    for (const { engine, peer } of net.hosters) {
      engine.beforeStep = (position) => {
        if ((position === 72 && killed === 0) || (position === 75 && killed === 1)) {
          killed += 1;
          net.network.kill(peer);
        }
      };
    }
    const generation = net.client.generate(prompt, SAMPLED, never);
    assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
    assert.equal(generation.failovers, 2);
    await net.close();
  });

  it('an engine fault in mid generation is routed around', async () => {
    const net = await startNet();
    const { route } = await routeOf(net);
    const victim = net.hosters.find(({ peer }) => peer === route[1]?.peer);
    assert.ok(victim);
    victim.engine.beforeStep = (position) => {
      if (position === 73) throw new EngineError({ code: 'E_LANE', reason: 'crash' }, 'the lane crashed');
    };
    const generation = net.client.generate(prompt, SAMPLED, never);
    assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
    assert.equal(victim.hoster.stats().refused.INTERNAL, 1);
    await net.close();
  });

  for (const code of ['E_BUSY', 'E_MEMORY'] as const) {
    it(`${code} when opening is routed around`, async () => {
      const net = await startNet();
      const { route } = await routeOf(net);
      const victim = net.hosters.find(({ peer }) => peer === route[0]?.peer);
      assert.ok(victim);
      victim.engine.refusal =
        code === 'E_BUSY'
          ? new EngineError({ code, retryAfterMs: 1 }, 'busy')
          : new EngineError({ code, need: 2, free: 1, budget: 1 }, 'no memory');
      const generation = net.client.generate(prompt, SAMPLED, never);
      assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
      assert.ok(generation.route.every(({ peer }) => peer !== victim.peer));
      assert.equal(victim.hoster.stats().refused[code === 'E_BUSY' ? 'BUSY' : 'NO_BUDGET'], 1);
      await net.close();
    });
  }

  const FULL = {
    BUSY: new EngineError({ code: 'E_BUSY', retryAfterMs: 1 }, 'busy'),
    NO_BUDGET: new EngineError({ code: 'E_MEMORY', need: 2, free: 1, budget: 1 }, 'no memory'),
  };
  for (const [code, refusal] of Object.entries(FULL))
    it(`a hop that is full (${code}) is asked again when it said, and nothing is held against it`, async () => {
      const net = await startNet({ hosters: 1, shardsOf: () => [0, 1, 2, 3] });
      const engine = net.hosters[0]?.engine;
      assert.ok(engine);
      engine.refusal = refusal;
      const waits: number[] = [];
      const wait = async (ms: number) => {
        waits.push(ms);
        net.clock.ms += ms;
        if (waits.length === 2) engine.refusal = undefined;
      };
      const client = createClient(
        { model: MODEL },
        { ...net, chain: { heads: net.heads }, wait, verify: verifySignature, log: silentLog },
      );
      for (let i = 0; i < 2; i += 1) {
        assert.deepEqual(await collect(client.generate(prompt, SAMPLED, never)), await local(prompt, SAMPLED));
      }
      assert.deepEqual(waits, [1_000, 1_000]);
      await net.close();
    });

  it('a silent hop is given up at the deadline of a step', async () => {
    const net = await startNet();
    const { route } = await routeOf(net);
    const victim = net.hosters.find(({ peer }) => peer === route[1]?.peer);
    assert.ok(victim);
    victim.engine.beforeStep = (position) => (position === 70 ? new Promise(() => undefined) : undefined);
    const deadlines = { openMs: 1_000, stepMs: 300, callMs: 0 };
    const chain = { heads: net.heads };
    const client = createClient(
      { model: MODEL, deadlines },
      { ...net, chain, verify: verifySignature, log: silentLog },
    );
    const generation = client.generate(prompt, SAMPLED, never);
    assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
    assert.equal(generation.failovers, 1);
    await net.close();
  });

  it('a hop that does not answer when it is opened is given up at the deadline', async () => {
    const net = await startNet();
    const [first] = (await routeOf(net)).route;
    const victim = net.hosters.find(({ peer }) => peer === first?.peer);
    assert.ok(victim);
    const gate = Promise.withResolvers<never>();
    victim.engine.openSession = () => gate.promise;
    const deadlines = { openMs: 100, stepMs: 10_000, callMs: 0 };
    const client = createClient(
      { model: MODEL, deadlines },
      { ...net, chain: { heads: net.heads }, verify: verifySignature, log: silentLog },
    );
    const generation = client.generate(prompt, SAMPLED, never);
    assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
    assert.ok(generation.route.every(({ peer }) => peer !== victim.peer));
    gate.reject(new Error('over'));
    await net.close();
  });

  it('a suspect is asked again when nobody else is there', async () => {
    const net = await startNet({ hosters: 1, shardsOf: () => [0, 1, 2, 3] });
    const [only] = net.hosters;
    assert.ok(only);
    let silent = true;
    only.engine.beforeStep = (position) => {
      if (position !== 70 || !silent) return;
      silent = false;
      return new Promise(() => undefined);
    };
    const deadlines = { openMs: 1_000, stepMs: 100, callMs: 0 };
    const client = createClient(
      { model: MODEL, deadlines },
      { ...net, chain: { heads: net.heads }, verify: verifySignature, log: silentLog },
    );
    const generation = client.generate(prompt, SAMPLED, never);
    assert.deepEqual(await collect(generation), await local(prompt, SAMPLED));
    assert.equal(generation.failovers, 1);
    await net.close();
  });

  it('a peer that served a whole generation has no earlier failure held against it', async () => {
    const net = await startNet();
    const [first] = (await routeOf(net)).route;
    const victim = net.hosters.find(({ peer }) => peer === first?.peer);
    assert.ok(victim);
    const isUsed = async () => (await routeOf(net)).route.some(({ peer }) => peer === victim.peer);
    for (const nextAnnounce of [105, 110]) {
      victim.engine.refusal = new EngineError({ code: 'E_LANE', reason: 'crash' }, 'the lane crashed');
      assert.equal(await isUsed(), false);
      victim.engine.refusal = undefined;
      assert.equal(await isUsed(), false, 'out until it announces anew');
      await net.runTo(nextAnnounce);
      assert.equal(await isUsed(), true, `at ${nextAnnounce}`);
    }
    await net.close();
  });

  it('names the shard that nobody serves, after waiting some heads', async () => {
    const net = await startNet({ shardsOf: () => [0, 1, 3] });
    const failed = collect(net.client.generate(prompt, GREEDY, never)).catch((error: unknown) => error);
    await net.runTo(112);
    const error = await failed;
    assert.ok(error instanceof ClientError);
    assert.deepEqual(error.facts, { code: 'NO_ROUTE', missing: [2], failures: [] });
    await net.close();
  });
});

describe('client: a chain that stands still', () => {
  it('waits for a route no longer than it may', async () => {
    const net = await startNet({ shardsOf: () => [0, 1, 3] });
    const client = createClient(
      { model: MODEL, routeWaitMs: 1 },
      { ...net, chain: { heads: net.heads }, verify: verifySignature, log: silentLog },
    );
    const failed = collect(client.generate(promptOf(3), GREEDY, never));
    await assert.rejects(failed, { facts: { code: 'NO_ROUTE', missing: [2], failures: [] } });
    await net.close();
  });
});

async function routeOf(net: Net) {
  const generation = net.client.generate(promptOf(1), { ...GREEDY, maxTokens: 1 }, never);
  await collect(generation);
  return { route: generation.route };
}
