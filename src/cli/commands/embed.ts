// `tessera embed "text"`: the vector of a text, from the network, or with --local from one engine that runs all shards.

import { embedTexts } from '../../client/embed.ts';
import { embedLocal } from '../../engine/embed.ts';
import { createOnnxEngine } from '../../engine/onnx.ts';
import { openEncoderTokenizer } from '../../model/encoder-tokenizer.ts';
import { encoderManifest } from '../../model/manifest.ts';
import type { Model } from '../../model/open.ts';
import { describeHop } from '../../node/answer.ts';
import { clientIdentity, createNetworkClient } from '../../node/network-client.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { handOverOption, openModelOption, requireSubnet, withChain } from '../session.ts';

const OPTIONS = [
  'rpc',
  'subnet-id',
  'model',
  'cut',
  'local',
  'threads',
  'initial-peers',
  'network-key',
  'hand-over',
  'hand-share',
] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

interface Found {
  readonly vector: Float32Array;
  readonly route: readonly ReturnType<typeof describeHop>[];
}

export const embed = defineCommand({
  name: 'embed',
  describe: 'the vector of a text, by a model that gives embeddings',
  examples: [
    'tessera embed "How far is the moon?" --local --model models/minilm',
    'tessera embed "How far is the moon?" --model models/minilm --json',
  ],
  options: OPTIONS,
  positional: 'text',
  async run(context) {
    const { options, text, io } = context;
    if (text.trim() === '') throw new UsageError('embed needs a text: tessera embed "How far is the moon?"');
    const model = await openModelOption(options.model);
    const { encodeWhole, maxTokens } = await openEncoderTokenizer(model);
    const tokens = encodeWhole(text).ids.length;
    if (tokens > maxTokens) io.note(`The text has ${tokens} tokens; the model reads the first ${maxTokens}.`);
    const { vector, route } = await (options.local ? embedHere : embedThere)(context, model);
    const embedding = Array.from(vector);
    io.result(
      { event: 'embedded', text, tokens: Math.min(tokens, maxTokens), dimensions: embedding.length, embedding, route },
      JSON.stringify(embedding),
    );
  },
});

async function embedHere({ options, text, signal, log }: Context, model: Model): Promise<Found> {
  const cut = options.cut ?? Object.keys(model.manifest.cuts)[0] ?? '';
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const engine = await createOnnxEngine({ model, cut, device: 'cpu', ...threads }, { log: log.child('engine') });
  try {
    const [vector = new Float32Array()] = await embedLocal(engine, { model, cut }, [text], signal);
    return { vector, route: [] };
  } finally {
    await engine.close();
  }
}

function embedThere(context: Context, model: Model): Promise<Found> {
  const { options, text, signal, log } = context;
  return withChain(context, async (chain) => {
    const subnet = await requireSubnet(chain, options['subnet-id'], signal);
    const identity = await clientIdentity(context.dataDir, context.ask);
    const network = await createNetworkClient(
      {
        initialPeers: options['initial-peers'],
        networkKey: options['network-key'],
        handOver: handOverOption(options),
      },
      { chain, subnet, model, identity, log },
      signal,
    );
    try {
      const { encode } = await openEncoderTokenizer(model);
      const found = await embedTexts(network.client, encoderManifest(model.manifest), [encode(text)], signal);
      return { vector: found.vectors[0] ?? new Float32Array(), route: found.route.map(describeHop) };
    } finally {
      await network.close();
    }
  });
}
