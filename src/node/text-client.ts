// A client for TypeScript programs: words in, words out, over the network of one subnet. What it opens it closes.

import { fileURLToPath } from 'node:url';
import { connectChain } from '../chain/substrate.ts';
import type { FinishReason, GenerateOptions } from '../client/generation.ts';
import type { ChatMessage } from '../model/chat.ts';
import { openModel } from '../model/open.ts';
import { withStops } from '../model/stop.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { SubnetId } from '../types/ids.ts';
import { CodedError } from '../util/errors.ts';
import { type Log, silentLog } from '../util/log.ts';
import { clientIdentity, createNetworkClient } from './network-client.ts';

const BUNDLED_MODEL = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const LOCAL_CHAIN = 'ws://127.0.0.1:9944';
const FIRST_SUBNET = 128_001;
const DEFAULT_TOKENS = 200;

export interface TextClientOptions {
  /** Holds the client's key, made on first use. */
  readonly dataDir: string;
  /** Chain endpoints, tried in order; ws://127.0.0.1:9944 unless given. */
  readonly rpc?: readonly string[];
  /** 128001 unless given: the first of a development chain. */
  readonly subnet?: number;
  /** Model folder; the bundled one unless given. It must be the subnet's. */
  readonly model?: string;
  /** Dialled instead of what the chain knows. */
  readonly initialPeers?: readonly string[];
  /** File of the pre-shared key, for a private network. */
  readonly networkKey?: string;
  readonly log?: Log;
}

/** As in client/generation.ts; greedy and 200 tokens unless given. */
export interface AskOptions extends Partial<Omit<GenerateOptions, 'stopIds'>> {
  /** Texts that end the answer and are not part of it. */
  readonly stop?: readonly string[];
}

/** Pieces of text as they come. Iterate once; leaving the loop, or the signal, ends it at every hop. */
export interface TextAnswer extends AsyncIterable<string> {
  /** The hops in use; empty before the first piece. */
  readonly route: readonly RoutedHop[];
  /** Known when the iteration has ended. */
  readonly finish: FinishReason | undefined;
}

export interface TextClient {
  /** Continues a text, or answers a chat. Throws ClientError while iterating. */
  ask(prompt: string | readonly ChatMessage[], options?: AskOptions, signal?: AbortSignal): TextAnswer;
  close(): Promise<void>;
}

class SubnetError extends CodedError<{ code: 'NOT_REGISTERED'; readonly subnet: number }> {}

/**
 * Joins the network of a subnet as one that asks.
 *
 * @throws ChainError, ModelError, OverlayError; NOT_REGISTERED when there is no such subnet; MANIFEST_MISMATCH for another model
 */
export async function createTextClient(options: TextClientOptions, signal?: AbortSignal): Promise<TextClient> {
  const { log = silentLog, subnet: id = FIRST_SUBNET } = options;
  const until = signal ?? new AbortController().signal;
  const model = await openModel(options.model ?? BUNDLED_MODEL, until);
  const tokenizer = await openTokenizer(model);
  await using opened = new AsyncDisposableStack();
  const endpoints = options.rpc ?? [LOCAL_CHAIN];
  const chain = opened.adopt(await connectChain({ endpoints }, { log: log.child('chain') }, until), (one) =>
    one.close(),
  );
  const subnet = await chain.subnet(id as SubnetId, undefined, until);
  if (subnet === undefined) {
    throw new SubnetError({ code: 'NOT_REGISTERED', subnet: id }, `there is no subnet ${id} on this chain`);
  }
  const network = opened.adopt(
    await createNetworkClient(
      { initialPeers: options.initialPeers ?? [], networkKey: options.networkKey },
      { chain, subnet, model, identity: await clientIdentity(options.dataDir), log },
      until,
    ),
    (one) => one.close(),
  );
  const resources = opened.move();

  function ask(prompt: string | readonly ChatMessage[], wanted: AskOptions = {}, stop?: AbortSignal): TextAnswer {
    const { stop: stops = [], ...chosen } = wanted;
    const ids = typeof prompt === 'string' ? tokenizer.encodePrompt(prompt) : tokenizer.encodeChat(prompt);
    const request = {
      maxTokens: Math.min(DEFAULT_TOKENS, model.manifest.shape.maxContext),
      temperature: 0,
      topK: 0,
      topP: 1,
      seed: 0n,
      ...chosen,
      stopIds: tokenizer.eos,
    };
    const generation = network.client.generate(
      ids,
      request,
      AbortSignal.any([until, ...(stop === undefined ? [] : [stop])]),
    );
    const stream = withStops(tokenizer.createStream(ids), stops);
    async function* run(): AsyncGenerator<string> {
      for await (const { id: token } of generation) {
        const text = stream.push(token);
        if (text !== '') yield text;
        if (stream.stopped) return;
      }
      const rest = stream.end();
      if (rest !== '') yield rest;
    }
    return {
      [Symbol.asyncIterator]: run,
      get route() {
        return generation.route;
      },
      get finish() {
        return stream.stopped ? 'stop' : generation.finish;
      },
    };
  }

  return { ask, close: () => resources.disposeAsync() };
}
