// A process of the engine benchmark: it holds one engine and runs what the parent names, one thing at a time, in tokens per second.

/** What can be measured. `decode`: one session at `context` positions; `batch`: `sessions` of them together; `prefill`: `tokens` from nothing. */
export type Job =
  | { readonly kind: 'decode'; readonly context: number; readonly steps: number }
  | { readonly kind: 'batch'; readonly sessions: number; readonly context: number; readonly steps: number }
  | { readonly kind: 'prefill'; readonly tokens: number };

/** What one run took. Processor time is that of all threads, spinning included: it says something on a busy machine too. */
export interface Rate {
  readonly tokensPerSecond: number;
  readonly cpuMsPerToken: number;
}

export interface Subject {
  readonly about: Readonly<Record<string, unknown>>;
  run(job: Job): Promise<Rate>;
}

export interface Setup {
  /** Model folder, or GGUF file. */
  readonly model: string;
  readonly threads: number;
  /** Folder of the peer's package. */
  readonly peer: string;
}

export type Answer =
  | { readonly ready: Subject['about'] }
  | { readonly rate: Rate; readonly stallMs: number; readonly rssMb: number }
  | { readonly failed: string };

/** Ids that every vocabulary of the benchmark has; no end of text among them. */
export function token(i: number): number {
  return 300 + ((i * 37) % 20_000);
}

/** What `work` took, which handles `count` tokens. */
export async function rate(count: number, work: () => Promise<void>): Promise<Rate> {
  const before = process.cpuUsage();
  const begin = performance.now();
  await work();
  const ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(before);
  return { tokensPerSecond: (count * 1000) / ms, cpuMsPerToken: (user + system) / 1000 / count };
}

/** Answers jobs until the parent lets go. Also the longest that the main thread stood still during a job. */
export async function serve(create: (setup: Setup) => Promise<Subject>): Promise<void> {
  const send = (answer: Answer) => process.send?.(answer);
  const setup: Setup = JSON.parse(process.argv[2] ?? '');
  const subject = await create(setup);
  process.on('message', (job: Job) => {
    const stall = watchStalls();
    subject.run(job).then(
      (rate) => send({ rate, stallMs: stall(), rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20) }),
      (error: unknown) => send({ failed: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  send({ ready: subject.about });
}

const TICK_MS = 2;

/** Starts watching; answers the longest delay of a timer beyond its time. */
function watchStalls(): () => number {
  let last = performance.now();
  let worst = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last - TICK_MS);
    last = now;
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    return worst;
  };
}
