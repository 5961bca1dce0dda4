// The other side: node-llama-cpp on a GGUF file of the same weights. Never a dependency: it is installed into a folder of the benchmark.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rate, type Setup, type Subject, serve, token } from './runner.ts';

/** What we use of the package (3.x). */
interface LlamaSequence {
  readonly nextTokenIndex: number;
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<unknown>;
  eraseContextTokenRanges(ranges: readonly { start: number; end: number }[]): Promise<void>;
  clearHistory(): Promise<void>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}
interface Package {
  getLlama(options: object): Promise<{
    readonly systemInfo?: string;
    loadModel(options: object): Promise<{ createContext(options: object): Promise<LlamaContext> }>;
  }>;
  readonly LlamaLogLevel: { readonly error: unknown };
}

const LONG_CONTEXT = 2048;
const SHORT_CONTEXT = 256;

async function create({ model: modelPath, threads, peer }: Setup): Promise<Subject> {
  const entry = join(peer, 'node_modules/node-llama-cpp/dist/index.js');
  const { getLlama, LlamaLogLevel } = (await import(pathToFileURL(entry).href)) as Package;
  const begin = performance.now();
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    logLevel: LlamaLogLevel.error,
    maxThreads: threads,
  });
  const model = await llama.loadModel({ modelPath, useMmap: true });
  const loadMs = Math.round(performance.now() - begin);
  let held: { sequences: number; context: LlamaContext; list: LlamaSequence[] } | undefined;
  /** One context at a time: the single long session, or a batch of short ones. */
  const open = async (sequences: number): Promise<LlamaSequence[]> => {
    if (held?.sequences === sequences) return held.list;
    await held?.context.dispose();
    const contextSize = sequences === 1 ? LONG_CONTEXT : SHORT_CONTEXT;
    const context = await model.createContext({ contextSize, batchSize: 512, threads, sequences });
    held = { sequences, context, list: Array.from({ length: sequences }, () => context.getSequence()) };
    return held.list;
  };
  const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => token(from + i));
  const fill = async (one: LlamaSequence, context: number) => {
    if (one.nextTokenIndex > context) await one.eraseContextTokenRanges([{ start: context, end: one.nextTokenIndex }]);
    if (one.nextTokenIndex < context)
      await one.evaluateWithoutGeneratingNewTokens(ids(one.nextTokenIndex, context - one.nextTokenIndex));
  };
  /** The first token costs a step of its own: it is not timed, nor counted. */
  const started = async (one: LlamaSequence) => {
    const stream = one.evaluate([token(7)], { temperature: 0, yieldEogToken: true })[Symbol.asyncIterator]();
    await stream.next();
    return stream;
  };
  return {
    about: { engine: 'node-llama-cpp', threads, loadMs },
    async run(job) {
      if (job.kind === 'prefill') {
        const [one] = await open(1);
        if (one === undefined) throw new RangeError('no sequence');
        await one.clearHistory();
        return rate(job.tokens, async () => void (await one.evaluateWithoutGeneratingNewTokens(ids(0, job.tokens))));
      }
      const list = await open(job.kind === 'batch' ? job.sessions : 1);
      for (const one of list) await fill(one, job.context);
      const streams = await Promise.all(list.map(started));
      const taken = await rate(list.length * job.steps, async () => {
        await Promise.all(
          streams.map(async (stream) => {
            for (let i = 0; i < job.steps; i++) await stream.next();
          }),
        );
      });
      for (const stream of streams) await stream.return?.();
      return taken;
    },
  };
}

await serve(create);
