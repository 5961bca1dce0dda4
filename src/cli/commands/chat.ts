// `tessera chat`: a conversation with the network in a terminal, a line for each question. What does not fit into the model's context any more is
// forgotten, oldest first.

import { createInterface } from 'node:readline';
import type { ChatMessage } from '../../model/chat.ts';
import { type ModelTokenizer, openTokenizer } from '../../model/tokenizer.ts';
import { collectAnswer, describeHop, generateOptions } from '../../node/answer.ts';
import { clientIdentity, createNetworkClient } from '../../node/network-client.ts';
import { defineCommand } from '../command.ts';
import { openModelOption, requireSubnet, withChain } from '../session.ts';

export const chat = defineCommand({
  name: 'chat',
  describe: 'talk with the network, line by line',
  examples: [
    'tessera chat',
    'tessera chat --temperature 0.8 --seed 7',
    'echo "Tell me a story." | tessera chat --json',
  ],
  options: [
    'rpc',
    'subnet-id',
    'model',
    'max-tokens',
    'temperature',
    'top-k',
    'top-p',
    'seed',
    'stop',
    'initial-peers',
    'network-key',
  ],
  async run(context) {
    const { options, dataDir, ask, io, log, signal } = context;
    const model = await openModelOption(options.model);
    const tokenizer = await openTokenizer(model);
    const { maxContext } = model.manifest.shape;
    const { temperature, seed, stop } = options;
    const chosen = { temperature, topK: options['top-k'], topP: options['top-p'], seed };
    await withChain(context, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const network = await createNetworkClient(
        { initialPeers: options['initial-peers'], networkKey: options['network-key'] },
        { chain, subnet, model, identity: await clientIdentity(dataDir, ask), log },
        signal,
      );
      try {
        io.note('Ask; an empty line ends the talk.');
        let turns: readonly ChatMessage[] = [];
        for await (const question of questions(signal)) {
          const asked = remembered([...turns, { role: 'user', content: question }], tokenizer, {
            maxContext,
            maxTokens: options['max-tokens'],
          });
          const prompt = tokenizer.encodeChat(asked);
          const maxTokens = Math.min(options['max-tokens'], maxContext - prompt.length);
          const wanted = generateOptions({ ...chosen, maxTokens }, tokenizer);
          const generation = network.client.generate(prompt, wanted, signal);
          const { text, tokens } = await collectAnswer(generation, { tokenizer, prompt, stop }, io.stream);
          io.stream('\n');
          io.result({ event: 'answered', question, text, tokens, route: generation.route.map(describeHop) }, '');
          turns = [...asked, { role: 'assistant', content: text }];
        }
      } finally {
        await network.close();
      }
    });
  },
});

/** Lines of stdin until an empty one, the end, or the signal. */
async function* questions(signal: AbortSignal): AsyncGenerator<string, void> {
  const lines = createInterface({ input: process.stdin, terminal: false, signal });
  const ready = (): void => {
    if (process.stdin.isTTY) process.stderr.write('> ');
  };
  ready();
  for await (const line of lines) {
    if (line.trim() === '') return lines.close();
    yield line.trim();
    ready();
  }
}

/** The last turns that leave room for an answer; the question itself always stays. */
function remembered(
  turns: readonly ChatMessage[],
  tokenizer: ModelTokenizer,
  { maxContext, maxTokens }: { readonly maxContext: number; readonly maxTokens: number },
): readonly ChatMessage[] {
  let kept = turns;
  while (kept.length > 1 && tokenizer.encodeChat(kept).length + maxTokens > maxContext) kept = kept.slice(2);
  return kept;
}
