// Two hosters on machines of their own that reach nothing but a third one, which relays: they answer together. Then the third machine also forwards
// packets, they go on directly, and need no relay any more. The machines are network namespaces; where these are not allowed it says so.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Line, type Running, startCli, stopCli } from '../support/cli.ts';

const NAME = `tessera-${process.pid}`;
const MIDDLE = `${NAME}-m`;
/** The interface of the middle that leads to a hoster has the first address of its network, the hoster the second. */
const HOSTERS = [
  { place: `${NAME}-a`, link: `ta${process.pid}`, net: '10.77.1', shards: '0-1' },
  { place: `${NAME}-b`, link: `tb${process.pid}`, net: '10.77.2', shards: '2-3' },
] as const;
const PROMPT = 'Once upon a time';
const RPC_PORT = 9944;
const PORT = 31330;
/** Each asks and checks an answer; the pauses between attempts to go directly grow from 5 s. */
const ATTEMPTS = 60;

function ip(...words: string[]): boolean {
  return spawnSync('ip', words, { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } }).status === 0;
}

function inside(place: string, ...words: string[]): boolean {
  return ip('netns', 'exec', place, ...words);
}

/** Whether all of it could be made. */
function makeMachines(): boolean {
  const places = [MIDDLE, ...HOSTERS.map(({ place }) => place)];
  return (
    places.every((place) => ip('netns', 'add', place) && ip('-n', place, 'link', 'set', 'lo', 'up')) &&
    HOSTERS.every(
      ({ place, link, net }) =>
        ip('link', 'add', link, 'netns', MIDDLE, 'type', 'veth', 'peer', 'name', 'wire', 'netns', place) &&
        ip('-n', MIDDLE, 'addr', 'add', `${net}.1/24`, 'dev', link) &&
        ip('-n', MIDDLE, 'link', 'set', link, 'up') &&
        ip('-n', place, 'addr', 'add', `${net}.2/24`, 'dev', 'wire') &&
        ip('-n', place, 'link', 'set', 'wire', 'up'),
    )
  );
}

/** From now on the middle passes packets on, and each hoster knows a way to the other. */
function openTheWay(): void {
  assert.ok(inside(MIDDLE, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'));
  for (const [i, { place, net }] of HOSTERS.entries())
    assert.ok(ip('-n', place, 'route', 'add', `${HOSTERS[1 - i]?.net}.0/24`, 'via', `${net}.1`));
}

describe('hosters on machines that reach a relay alone', function () {
  this.timeout(10 * 60_000);
  const folder = mkdtempSync(join(tmpdir(), 'tessera-namespaces-'));
  const running: Running[] = [];

  before(function () {
    if (makeMachines()) return;
    process.stdout.write('network namespaces: not run\n');
    this.skip();
  });
  after(async () => {
    await Promise.all(running.reverse().map(stopCli));
    for (const place of [MIDDLE, ...HOSTERS.map(({ place }) => place)]) ip('netns', 'del', place);
    rmSync(folder, { recursive: true, force: true });
  });

  function start(place: string, ...args: string[]): Running {
    const started = startCli([...args, '--json', '--log-level', 'info'], {}, ['ip', 'netns', 'exec', place]);
    running.push(started);
    return started;
  }

  async function type(place: string, ...args: string[]): Promise<Line> {
    const { code, lines, stderr } = await start(place, ...args).finished;
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return lines.at(-1) ?? {};
  }

  const chainOf = (net: string): string[] => ['--rpc', `ws://${net}.1:${RPC_PORT}`];
  const relayOf = (net: string, peer: unknown): string => `/ip4/${net}.1/tcp/${PORT}/p2p/${peer}`;

  it('answer together, over the relay; then directly; then without it', async () => {
    const chain = start(MIDDLE, 'devchain', '--host', '0.0.0.0', '--port', String(RPC_PORT));
    await chain.waitFor((line) => line.event === 'chain-ready');
    const [here, there] = HOSTERS;
    const listen = HOSTERS.map(({ net }) => `/ip4/${net}.1/tcp/${PORT}`);
    const relayHome = ['--data-dir', join(folder, 'relay'), ...chainOf(here.net)];
    const relay = start(MIDDLE, 'bootnode', '--host-maddrs', ...listen, ...relayHome);
    const { peer } = await relay.waitFor((line) => line.event === 'ready');

    const owner = ['--coldkey', '//dev:0', ...chainOf(here.net)];
    await type(MIDDLE, 'register-subnet', '--bootnode', relayOf(here.net, peer), ...owner);
    const asHoster = ({ place, net }: (typeof HOSTERS)[number], i: number): string[] => [
      ...['--data-dir', join(folder, place), '--hotkey', `//dev:${6 + i}`],
      ...chainOf(net),
    ];
    for (const [i, hoster] of HOSTERS.entries()) {
      const { place, net } = hoster;
      const asked = asHoster(hoster, i);
      await type(place, 'keygen', '--data-dir', join(folder, place));
      const announced = ['--announce-maddrs', `/ip4/${net}.2/tcp/${PORT}`];
      await type(place, 'register-subnet-node', '--coldkey', `//dev:${i}`, ...announced, ...asked);
      await type(place, 'activate', '--hotkey', `//dev:${6 + i}`, ...chainOf(net));
    }
    await type(MIDDLE, 'activate-subnet', ...owner);
    const hosters = HOSTERS.map((hoster, i) => {
      const { place, net, shards } = hoster;
      const addresses = ['--host-maddrs', `/ip4/${net}.2/tcp/${PORT}`, '/p2p-circuit'];
      const known = ['--initial-peers', relayOf(net, peer)];
      return start(place, 'run', '--shards', shards, '--threads', '1', ...addresses, ...known, ...asHoster(hoster, i));
    });
    const peers = await Promise.all(hosters.map((one) => one.waitFor((line) => line.event === 'ready')));
    const local = await type(MIDDLE, 'generate', '--local', PROMPT, '--max-tokens', '12');
    const ask = async (...peers: string[]): Promise<void> => {
      const asker = ['--data-dir', join(folder, 'asker'), '--max-tokens', '12', '--initial-peers', ...peers];
      const answer = await type(here.place, 'generate', PROMPT, ...asker, ...chainOf(here.net));
      assert.deepEqual(answer.tokens, local.tokens);
      assert.deepEqual(
        (answer.route as { shards: number[] }[]).map((hop) => hop.shards),
        [
          [0, 1],
          [2, 3],
        ],
      );
    };
    const isDirect = (): boolean => hosters.some((hoster) => hoster.told().includes('direct connection"'));

    await ask(relayOf(here.net, peer));
    assert.ok(!inside(here.place, 'bash', '-c', `exec 3<>/dev/tcp/${there.net}.2/${PORT}`), 'there is no other way');
    assert.ok(!isDirect());

    openTheWay();
    for (let tries = 0; tries < ATTEMPTS && !isDirect(); tries += 1) await ask(relayOf(here.net, peer));
    assert.ok(isDirect(), hosters.map((hoster) => hoster.told().slice(-1000)).join('\n'));

    await stopCli(relay);
    await ask(...HOSTERS.map(({ net }, i) => `/ip4/${net}.2/tcp/${PORT}/p2p/${peers[i]?.peer}`));
  });
});
