// `tessera run`: the node. Prints what it does, one line per event; `--json` for programs. Ends with SIGINT or SIGTERM.

import { readFileSync } from 'node:fs';
import { createMetrics, type MetricsDeps, type MetricsOptions } from '../../node/metrics.ts';
import { serveMetrics } from '../../node/metrics-server.ts';
import type { MoveEvent } from '../../node/mover.ts';
import { createNode } from '../../node/node.ts';
import type { Values } from '../../node/options.ts';
import { type PullDeps, type PulledModel, pullModel } from '../../node/pull-model.ts';
import type { SubnetId } from '../../types/ids.ts';
import { classRank } from '../../types/subnet.ts';
import type { Log } from '../../util/log.ts';
import type { ValidatorEvent } from '../../validator/validator.ts';
import { defineCommand } from '../command.ts';
import { keepOutcome, toDiary } from '../diary.ts';
import { drainFirst } from '../drain.ts';
import { StandingError, UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { createProgress, type Progress } from '../progress.ts';
import {
  identityFile,
  openModelOption,
  requireNode,
  requireSubnet,
  signerOption,
  unlockIdentity,
  withChain,
} from '../session.ts';
import { eventLine } from '../words.ts';

export const run = defineCommand({
  name: 'run',
  describe: 'run a node: hoster or attestor',
  examples: [
    'tessera run --role hoster --shards 0-2 --hotkey //dev:6 --host-maddrs /ip4/127.0.0.1/tcp/31331',
    'tessera run --role attestor --hotkey ~/.tessera/keys/hotkey.json',
  ],
  options: [
    'rpc',
    'subnet-id',
    'subnet-node-id',
    'hotkey',
    'identity-path',
    'model',
    'model-from-peers',
    'model-url',
    'upload-rate',
    'role',
    'audit',
    'shards',
    'device',
    'threads',
    'prepack',
    'isolate-engine',
    'memory',
    'host-maddrs',
    'announce-maddrs',
    'initial-peers',
    'new-swarm',
    'network-key',
    'private-addresses',
    'reach',
    'relay',
    'drain-seconds',
    'metrics-port',
  ],
  async run({ options, ask, dataDir, io, log, signal }) {
    const hotkey = await signerOption('hotkey', options.hotkey, ask);
    const identity = await unlockIdentity(identityFile(options['identity-path'], dataDir), ask);
    const pulls = options['model-from-peers'] || options['model-url'].length > 0;
    if (pulls && options.model !== undefined) throw new UsageError('say either --model, or where to fetch it from');
    const opened = pulls ? undefined : await openModelOption(options.model);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const standing = await requireNode(
        chain,
        id,
        { nodeId: options['subnet-node-id'], hotkey, peer: identity.peer },
        signal,
      );
      if (classRank(standing.nodeClass) < classRank('Idle')) {
        throw new StandingError(
          { code: 'NOT_ACTIVE', subnet: id },
          `node ${standing.id} is registered but not active; activate it${standing.startEpoch > 0 ? ` (not before subnet epoch ${standing.startEpoch})` : ''}: tessera activate --wait --hotkey ${options.hotkey}`,
        );
      }
      using progress = createPullProgress();
      const { onProgress } = progress;
      const { model, supply } =
        opened === undefined
          ? await pull({ options, dataDir, log }, { chain, subnet, identity, onProgress }, signal)
          : { model: opened, supply: undefined };
      const node = await createNode(
        {
          role: options.role,
          audits: options.audit,
          shards: options.shards,
          device: options.device,
          threads: options.threads,
          memoryBytes: options.memory,
          prepack: options.prepack,
          isolateEngine: options['isolate-engine'],
          dataDir,
          listen: options['host-maddrs'],
          announce: options['announce-maddrs'],
          initialPeers: options['initial-peers'],
          newSwarm: options['new-swarm'],
          networkKey: options['network-key'],
          privateAddresses: options['private-addresses'],
          reach: options.reach,
          relay: options.relay,
          uploadRate: options['upload-rate'] === undefined ? undefined : options['upload-rate'] * MIB,
          version: packageVersion(),
        },
        { chain, subnet, node: standing, hotkey, identity, model, supply, log },
        signal,
      );
      progress.end();
      node.validator.on((event) => {
        tell(event, io);
        if (event.type !== 'head' && event.type !== 'failed')
          keepOutcome(dataDir, { subnet: id, node: standing.id }, toDiary(event));
      });
      node.onMove((event) => tellMove(event, io));
      io.result(
        {
          event: 'ready',
          node: standing.id,
          peer: identity.peer,
          role: options.role,
          shards: node.shards,
          addresses: node.addresses,
        },
        `node ${standing.id} (${options.role}${node.shards.length > 0 ? `, shards ${node.shards.join(' ')}` : ''}) listens on ${node.addresses.join(' ')}`,
      );
      io.note('Next, in another terminal, after an epoch or two: tessera scores');
      const watched = { subnet: id, node: standing.id, hotkey: hotkey.address, role: options.role };
      await using door = await openMetrics(options['metrics-port'], watched, { ...node, chain, log });
      if (door.url !== undefined) io.result({ event: 'metrics', url: door.url }, `metrics at ${door.url}`);
      const sessions = { what: 'sessions', open: () => node.hoster?.stats().sessions ?? 0, drain: node.drain };
      const ended = drainFirst(sessions, { seconds: options['drain-seconds'], io }, signal);
      await node.run(ended);
      io.result({ event: 'stopped', node: standing.id }, `node ${standing.id} stopped`);
    });
  },
});

const MIB = 2 ** 20;

function pull(
  {
    options,
    dataDir,
    log,
  }: {
    readonly options: Values<'role' | 'shards' | 'initial-peers' | 'network-key' | 'model-from-peers' | 'model-url'>;
    readonly dataDir: string;
    readonly log: Log;
  },
  parts: Omit<PullDeps, 'log'>,
  signal: AbortSignal,
): Promise<PulledModel> {
  const chosen = {
    dataDir,
    role: options.role,
    shards: options.shards,
    initialPeers: options['initial-peers'],
    networkKey: options['network-key'],
    fromPeers: options['model-from-peers'],
    urls: options['model-url'],
  };
  return pullModel(chosen, { ...parts, log: log.child('distribution') }, signal);
}

/** Of what is fetched before the node is ready; what it fetches later stands in its log. */
function createPullProgress(): Disposable & { readonly onProgress: PullDeps['onProgress']; readonly end: () => void } {
  let shown: { readonly total: number; readonly progress: Progress } | undefined;
  let ended = false;
  const end = (): void => {
    ended = true;
    shown?.progress.end();
    shown = undefined;
  };
  return {
    onProgress({ doneBytes, totalBytes }) {
      if (ended) return;
      if (shown?.total !== totalBytes) {
        shown?.progress.end();
        shown = {
          total: totalBytes,
          progress: createProgress({ label: 'model', unit: 'bytes', total: totalBytes }),
        };
      }
      shown.progress.at(doneBytes);
    },
    end,
    [Symbol.dispose]: end,
  };
}

/** Serves metrics, if a port was named, until it is disposed of. */
async function openMetrics(
  port: number | undefined,
  watched: Omit<MetricsOptions, 'version'>,
  deps: MetricsDeps,
): Promise<AsyncDisposable & { readonly url: string | undefined }> {
  if (port === undefined) return { url: undefined, [Symbol.asyncDispose]: async () => undefined };
  const metrics = createMetrics({ ...watched, version: packageVersion() }, deps);
  const server = await serveMetrics(port, { metrics, log: deps.log });
  return {
    url: server.url,
    async [Symbol.asyncDispose]() {
      metrics.close();
      await server.close();
    },
  };
}

function tellMove(event: MoveEvent, io: Io): void {
  const { type, ...facts } = event;
  io.result({ event: type, ...facts }, moveWords(event));
}

function moveWords(event: MoveEvent): string {
  switch (event.type) {
    case 'moving':
      return `moving    the network lacks shard ${event.take}: told it that this node will serve it${event.drop === undefined ? '' : ` instead of shard ${event.drop}`}`;
    case 'moved':
      return `moved     serves shards ${event.shards.join(' ')} now`;
    case 'stayed':
      return `stayed    serves shards ${event.shards.join(' ')} as before: ${event.code}, ${event.message}`;
  }
}

/** Heads are for programs; a person hears outcomes and failures. */
function tell(event: ValidatorEvent, io: Io): void {
  const { type, ...facts } = event;
  io.result({ event: type, ...facts }, type === 'head' ? '' : eventLine(event));
}

function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
