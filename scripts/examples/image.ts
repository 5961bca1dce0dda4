// An image drawn by two hosters, all of it in one process, over libp2p on loopback:
//     node scripts/run.cjs scripts/examples/image.ts image.png [SEED]
// A small convolutional decoder with generated weights is written as ONNX, cut into two shards, served by a hoster each, and run on a latent vector through
// both. What comes out is the image that one engine draws here, bit for bit.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { createHeadFeed } from '../../src/chain/heads.ts';
import { createClient } from '../../src/client/client.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { publishGraph } from '../../src/engine/publish-graph.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createGraphBuilder } from '../../src/graph/builder.ts';
import { attribute, encodeModel } from '../../src/graph/onnx.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { cutShards } from '../../src/model/manifest.ts';
import type { Model } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { BlockNumber, Hash, NodeId, PeerId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import type { NamedTensor } from '../../src/types/tensor.ts';
import { silentLog } from '../../src/util/log.ts';

const LATENT = 16;
const FIRST_SIDE = 8;
/** Each layer doubles the side: 64 in the end. */
const CHANNELS = [32, 24, 16, 3];
const SIDE = 64;
const SUBNET = 128_001 as SubnetId;
const HEAD = { number: 100 as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash };

export interface Drawing {
  readonly overHops: Uint8Array;
  readonly here: Uint8Array;
  /** Who computed which shards. */
  readonly route: readonly { readonly peer: PeerId; readonly from: number; readonly to: number }[];
}

/** Both images as PNG files. What it opens it closes. */
export async function drawImage(seed: number): Promise<Drawing> {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-image-'));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rm(folder, { recursive: true }));
  const file = join(folder, 'decoder.onnx');
  await writeFile(file, writeDecoder());
  const model = await publishGraph(join(folder, 'model'), file, { name: 'decoder', license: 'MIT', parts: 2 });
  const shards = cutShards(model.manifest, DEFAULT_CUT).map((_, shard) => shard as ShardIndex);
  const latent = [{ name: 'latent', dims: [1, LATENT], data: wave(LATENT, seed) }];
  const { overHops, route } = await runOverHops(model, shards, latent, opened);
  const engine = await startEngine(model, shards, opened);
  const range = { from: 0 as ShardIndex, to: shards.length as ShardIndex };
  const here = await engine.run(range, structuredClone(latent), { owner: 'local' });
  return { overHops: toPng(overHops), here: toPng(here), route };
}

async function runOverHops(
  model: Model,
  shards: readonly ShardIndex[],
  latent: readonly NamedTensor[],
  opened: AsyncDisposableStack,
) {
  const served = cutShards(model.manifest, DEFAULT_CUT);
  const { vocab, maxContext, width } = model.manifest.shape;
  const facts = { hash: model.hash, vocab, maxContext, shardCount: shards.length };
  const feed = createHeadFeed();
  feed.publish(HEAD);
  opened.defer(() => feed.close());
  const chain = { heads: (_kind: unknown, signal: AbortSignal) => feed.stream(signal) };
  const identities = shards.map((shard) => identityFromSeed(new Uint8Array(32).fill(shard + 1)));
  const nodes = [];
  for (const [shard, identity] of identities.entries()) {
    const overlay = opened.adopt(await enter(identity, ['/ip4/127.0.0.1/tcp/0']), (one) => one.close());
    for (const before of nodes) await overlay.connect(before.addresses()[0] ?? '');
    nodes.push(overlay);
    const engine = await startEngine(model, [shard as ShardIndex], opened);
    const hoster = createHoster(
      {
        ...{
          subnet: SUBNET,
          node: (shard + 1) as NodeId,
          genesis: new Uint8Array(32),
          version: 'example',
          memoryMiB: 64,
        },
        clock: { slot: 3, epochLength: 20 },
        model: { ...facts, width, cacheBytes: 1, inputs: served.map(({ inputs }) => inputs), outputRms: [] },
        shards: [shard as ShardIndex],
      },
      {
        ...{ overlay, engine, identity, chain, verify: verifySignature, mayAsk: () => true },
        board: { admit: async () => undefined, records: () => [] },
        ...{ now: () => performance.now(), log: silentLog },
      },
    );
    const stop = new AbortController();
    const running = hoster.run(stop.signal);
    opened.defer(async () => {
      stop.abort();
      await running;
    });
  }
  const identity = identityFromSeed(new Uint8Array(32).fill(99));
  const overlay = opened.adopt(await enter(identity, []), (one) => one.close());
  for (const node of nodes) await overlay.connect(node.addresses()[0] ?? '');
  const pace = { load: 0, rowsPerSecond: 0, freePositions: 1e6, memoryMiB: 64, block: HEAD.number };
  const offers = identities.map(({ peer }, i) => ({
    ...pace,
    node: (i + 1) as NodeId,
    peer,
    shards: [i as ShardIndex],
  }));
  const directory = { offers: () => offers, refresh: async () => undefined };
  const client = createClient(
    { model: facts },
    { overlay, chain, directory, identity, verify: verifySignature, log: silentLog },
  );
  const fits = ([image]: readonly NamedTensor[]) => image?.data.length === 3 * SIDE * SIDE;
  const run = client.run([{ tensors: latent, fits }], AbortSignal.timeout(60_000));
  for await (const overHops of run) return { overHops, route: run.route };
  throw new Error('the run gave no image');
}

function enter(identity: ReturnType<typeof identityFromSeed>, listen: readonly string[]) {
  return createOverlay(
    {
      ...{ identity, listen, bootstrap: [], network: 'example', dhtServer: false, topics: [], privateAddresses: true },
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
    },
    { log: silentLog },
  );
}

async function startEngine(model: Model, shards: readonly ShardIndex[], opened: AsyncDisposableStack): Promise<Engine> {
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu', threads: 1 }, { log: silentLog });
  opened.adopt(engine, (one) => one.close());
  await engine.load(shards);
  return engine;
}

/** latent (N, 16) f32 -> image (N, 3, 64, 64) f32 in [0, 1]. */
function writeDecoder(): Uint8Array {
  const graph = createGraphBuilder('decoder');
  const weights = (name: string, dims: readonly number[], values: Float32Array<ArrayBuffer>) =>
    graph.constant(name, 'f32', dims, new Uint8Array(values.buffer));
  const [first = 0] = CHANNELS;
  const area = FIRST_SIDE * FIRST_SIDE;
  const latent = graph.input('latent', 'f32', ['N', LATENT]);
  const spread = graph.node('MatMul', [
    latent,
    weights('spread', [LATENT, first * area], wave(LATENT * first * area, 3, 0.7)),
  ]);
  const shape = new Uint8Array(BigInt64Array.from([-1, first, FIRST_SIDE, FIRST_SIDE].map(BigInt)).buffer);
  // (N, 32, 8, 8)
  let image = graph.node('Reshape', [spread, graph.constant('shape', 'i64', [4], shape)]);
  const attributes = {
    kernel_shape: attribute.ints([4, 4]),
    strides: attribute.ints([2, 2]),
    pads: attribute.ints([1, 1, 1, 1]),
  };
  for (const [layer, channels] of CHANNELS.slice(1).entries()) {
    const before = CHANNELS[layer] ?? 0;
    const mixing = wave(before * channels, 11 + layer, 4 / Math.sqrt(before));
    const kernel = weights(`kernel.${layer}`, [before, channels, 4, 4], smooth(mixing));
    // (N, channels, 2 side, 2 side)
    image = graph.node('ConvTranspose', [graph.node('Tanh', [image]), kernel], { attributes });
  }
  graph.node('Sigmoid', [image], { outputs: ['image'] });
  graph.output('image', 'f32', ['N', 3, SIDE, SIDE]);
  return encodeModel(graph.finish({ '': 17 }));
}

/** Each weight spread over 4 x 4, as linear interpolation does. */
function smooth(mixing: Float32Array): Float32Array<ArrayBuffer> {
  const line = [0.25, 0.75, 0.75, 0.25];
  return Float32Array.from([...mixing].flatMap((weight) => line.flatMap((y) => line.map((x) => weight * x * y))));
}

/** Values between -scale and scale that look like nothing in particular, the same on every machine. */
function wave(count: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  let state = (seed * 2_654_435_761) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return scale * (state / 2 ** 31 - 1);
  });
}

/** (1, 3, side, side) f32 in [0, 1] as a PNG file: 8 bits, RGB, no filter. */
function toPng([image]: readonly NamedTensor[]): Uint8Array {
  const rows = Buffer.alloc(SIDE * (1 + 3 * SIDE));
  for (let y = 0; y < SIDE; y += 1)
    for (let x = 0; x < SIDE; x += 1)
      for (let colour = 0; colour < 3; colour += 1) {
        const value = Number(image?.data[(colour * SIDE + y) * SIDE + x]);
        rows[y * (1 + 3 * SIDE) + 1 + 3 * x + colour] = Math.round(255 * value);
      }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  const body = Buffer.concat([Buffer.from(type, 'ascii'), data]);
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

if (import.meta.main) {
  const [, , file = 'image.png', seed = '1'] = process.argv;
  const { overHops, here, route } = await drawImage(Number(seed));
  await writeFile(file, overHops);
  const same = Buffer.compare(overHops, here) === 0;
  console.log(
    `${file}: ${overHops.length} bytes over ${route.length} hops; ${same ? 'the same' : 'NOT the same'} as drawn here`,
  );
  if (!same) process.exitCode = 1;
}
