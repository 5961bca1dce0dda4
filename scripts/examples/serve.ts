import {
  connectChain,
  createLog,
  createNode,
  openIdentity,
  openModel,
  openSigner,
  type SubnetId,
} from '../../src/index.ts';

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const log = createLog({ level: 'warn', format: 'json' });
const chain = await connectChain({ endpoints: ['ws://127.0.0.1:9944'] }, { log });
const hotkey = await openSigner('//dev:6');
const subnet = await chain.subnet(128_001 as SubnetId);
const standing = subnet && (await chain.nodeByHotkey(subnet.id, hotkey.address));
if (subnet === undefined || standing === undefined) throw new Error('register and activate the node first');

const node = await createNode(
  {
    role: 'hoster',
    shards: 'auto',
    device: 'cpu',
    threads: 1,
    dataDir: '.tessera',
    listen: ['/ip4/127.0.0.1/tcp/31330'],
    announce: [],
    initialPeers: [],
    newSwarm: false,
    version: 'my-node',
  },
  {
    ...{ chain, subnet, hotkey, log },
    node: standing,
    identity: openIdentity('.tessera/keys/peer_id'),
    model: await openModel('models/tiny'),
  },
  stop.signal,
);
console.log('serves shards', node.shards.join(' '));
node.validator.on((event) => console.log(event.type, 'block' in event ? event.block : ''));
process.once('SIGTERM', () => void node.drain(AbortSignal.timeout(30_000)).then(() => stop.abort()));
await node.run(stop.signal);
await chain.close();
