// `tessera generate "text"`: streams the answer of the network, or with --local of one engine that runs all shards.

import { generateLocal } from '../../client/local.ts';
import { createOnnxEngine } from '../../engine/onnx.ts';
import { cutShards } from '../../model/manifest.ts';
import type { Model } from '../../model/open.ts';
import { type ModelTokenizer, openTokenizer } from '../../model/tokenizer.ts';
import { type Answer, collectAnswer, describeHop, generateOptions, type ShownHop } from '../../node/answer.ts';
import { clientIdentity, createNetworkClient } from '../../node/network-client.ts';
import type { ShardIndex } from '../../types/ids.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { handOverOption, openModelOption, requireSubnet, withChain } from '../session.ts';

const OPTIONS = [
  'rpc',
  'subnet-id',
  'model',
  'cut',
  'local',
  'chat',
  'max-tokens',
  'temperature',
  'top-k',
  'top-p',
  'seed',
  'stop',
  'threads',
  'initial-peers',
  'network-key',
  'keep-ends',
  'hand-over',
  'hand-share',
] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

interface Asked {
  readonly model: Model;
  readonly tokenizer: ModelTokenizer;
  readonly prompt: readonly number[];
}

interface Answered extends Answer {
  readonly route: readonly ShownHop[];
}

export const generate = defineCommand({
  name: 'generate',
  describe: 'let the network write',
  examples: [
    'tessera generate "Once upon a time"',
    'tessera generate --chat "Tell me a story about a brave turtle." --temperature 0.8 --seed 7',
  ],
  options: OPTIONS,
  positional: 'text',
  async run(context) {
    const { options, text, io } = context;
    if (text.trim() === '') throw new UsageError('generate needs a text: tessera generate "Once upon a time"');
    const model = await openModelOption(options.model);
    const tokenizer = await openTokenizer(model);
    const prompt = options.chat
      ? tokenizer.encodeChat([{ role: 'user', content: text }])
      : tokenizer.encodePrompt(text);
    const started = performance.now();
    if (!options.chat) io.stream(text);
    const answer = await (options.local ? answerLocally : answerFromNetwork)(context, { model, tokenizer, prompt });
    const seconds = (performance.now() - started) / 1000;
    io.stream('\n');
    const tokensPerSecond = Math.round((10 * answer.tokens.length) / seconds) / 10;
    io.result(
      {
        event: 'generated',
        prompt: text,
        text: answer.text,
        tokens: answer.tokens,
        route: answer.route,
        tokensPerSecond,
      },
      '',
    );
  },
});

async function answerLocally(context: Context, { model, tokenizer, prompt }: Asked): Promise<Answered> {
  const { options, signal, log } = context;
  const cut = options.cut ?? Object.keys(model.manifest.cuts)[0] ?? '';
  const shardCount = cutShards(model.manifest, cut).length;
  const engine = await createOnnxEngine(
    { model, cut, device: 'cpu', ...(options.threads === undefined ? {} : { threads: options.threads }) },
    { log: log.child('engine') },
  );
  try {
    await engine.load(
      Array.from({ length: shardCount }, (_, shard) => shard as ShardIndex),
      signal,
    );
    const { maxContext } = model.manifest.shape;
    const generation = generateLocal(
      engine,
      { shardCount, maxContext },
      prompt,
      chosenOptions(context, tokenizer),
      signal,
    );
    return { ...(await collect(context, generation, { tokenizer, prompt })), route: [] };
  } finally {
    await engine.close();
  }
}

function answerFromNetwork(context: Context, { model, tokenizer, prompt }: Asked): Promise<Answered> {
  const { options, signal, log } = context;
  return withChain(context, async (chain) => {
    const subnet = await requireSubnet(chain, options['subnet-id'], signal);
    const identity = await clientIdentity(context.dataDir, context.ask);
    const network = await createNetworkClient(
      {
        initialPeers: options['initial-peers'],
        networkKey: options['network-key'],
        keepEnds: options['keep-ends'],
        handOver: handOverOption(options),
      },
      { chain, subnet, model, identity, log },
      signal,
    );
    try {
      const generation = network.client.generate(prompt, chosenOptions(context, tokenizer), signal);
      const answer = await collect(context, generation, { tokenizer, prompt });
      return { ...answer, route: generation.route.map(describeHop) };
    } finally {
      await network.close();
    }
  });
}

function collect(
  context: Context,
  generation: Parameters<typeof collectAnswer>[0],
  asked: Pick<Asked, 'tokenizer' | 'prompt'>,
): Promise<Answer> {
  return collectAnswer(generation, { ...asked, stop: context.options.stop }, context.io.stream);
}

function chosenOptions({ options }: Context, tokenizer: ModelTokenizer) {
  const { temperature, seed } = options;
  return generateOptions(
    { maxTokens: options['max-tokens'], temperature, topK: options['top-k'], topP: options['top-p'], seed },
    tokenizer,
  );
}
