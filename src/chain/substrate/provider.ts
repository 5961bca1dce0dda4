// Our socket in the shape that polkadot.js asks for. It never reconnects and never rejects by itself: a lost connection is replaced as a
// whole (link.ts), and what polkadot.js still waits for then is garbage.

import type { RpcSocket } from './rpc-socket.ts';

type Emitted = 'connected' | 'disconnected' | 'error';
type Handler = (value?: unknown) => unknown;

export interface PolkadotProvider {
  readonly hasSubscriptions: true;
  readonly isClonable: false;
  readonly isConnected: boolean;
  clone(): never;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  on(type: Emitted, handler: Handler): () => void;
  // The signature is polkadot.js's: the caller names the type it expects.
  send<T>(method: string, params: unknown[]): Promise<T>;
  subscribe(
    type: string,
    method: string,
    params: unknown[],
    listener: (error: Error | null, result: unknown) => void,
  ): Promise<string>;
  unsubscribe(type: string, method: string, id: number | string): Promise<boolean>;
}

export function createProvider(socket: RpcSocket): PolkadotProvider {
  const unending = new Promise<never>(() => undefined);
  const untilLost = <T>(work: Promise<T>) =>
    work.catch((error) => (socket.lost.aborted ? unending : Promise.reject(error)));
  return {
    hasSubscriptions: true,
    isClonable: false,
    get isConnected() {
      return !socket.lost.aborted;
    },
    clone() {
      throw new TypeError('this provider belongs to one connection');
    },
    connect: async () => undefined,
    disconnect: async () => undefined,
    on(type, handler) {
      if (type === 'connected') queueMicrotask(handler);
      if (type !== 'disconnected') return () => undefined;
      const onLost = () => handler();
      // Its timer of 10 s would outlive a connection that is lost already.
      if (socket.lost.aborted) queueMicrotask(onLost);
      socket.lost.addEventListener('abort', onLost, { once: true });
      return () => socket.lost.removeEventListener('abort', onLost);
    },
    send: <T>(method: string, params: unknown[]) => untilLost(socket.send(method, params)) as Promise<T>,
    subscribe: (_type, method, params, listener) =>
      untilLost(socket.subscribe(method, params, (value) => listener(null, value))),
    async unsubscribe(_type, _method, id) {
      socket.unsubscribe(String(id));
      return true;
    },
  };
}
