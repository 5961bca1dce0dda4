// The README's example: reads a node and the scores of a running devnet with @polkadot/api alone.
import { ApiPromise, WsProvider } from '@polkadot/api';

const api = await ApiPromise.create({
  provider: new WsProvider(process.argv[2] ?? 'ws://127.0.0.1:9944'),
  noInitWarn: true,
});
const [subnet, node] = [128001, 1];
const one = (await api.query.network.subnetNodesData(subnet, node)).toHuman();
console.log(`node ${one.id}: ${one.classification.nodeClass} since epoch ${one.classification.startEpoch}`);
for (const [key, value] of await api.query.network.subnetConsensusSubmission.entries(subnet)) {
  const scores = value.unwrap().data.map((entry) => `${entry.subnetNodeId}: ${entry.score}`);
  console.log(`epoch ${key.args[1]}`, scores);
}
await api.disconnect();
