// Several streams as one, in the order in which things come.

/**
 * Takes from all at once, one value ahead each. When one throws, or the consumer leaves, all are ended before it goes on.
 *
 * @param onEnd called first then: it makes those that wait for something give up
 */
export async function* mergeAll<T>(
  streams: readonly AsyncGenerator<T, void>[],
  onEnd: () => void,
): AsyncGenerator<T, void> {
  type Taken = { readonly stream: AsyncGenerator<T, void>; readonly next: IteratorResult<T, void> };
  const take = async (stream: AsyncGenerator<T, void>): Promise<Taken> => ({ stream, next: await stream.next() });
  const pending = new Map(streams.map((stream) => [stream, take(stream)]));
  try {
    while (pending.size > 0) {
      const { stream, next } = await Promise.race(pending.values());
      if (next.done === true) {
        pending.delete(stream);
        continue;
      }
      pending.set(stream, take(stream));
      yield next.value;
    }
  } finally {
    onEnd();
    await Promise.allSettled([...pending.values(), ...streams.map((stream) => stream.return())]);
  }
}
