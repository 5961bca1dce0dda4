// A dev chain on the project's own spec, development accounts, and a raw JSON-RPC client for what polkadot.js would hide.

import { fileURLToPath } from 'node:url';
import { ApiPromise, HttpProvider, WsProvider } from '@polkadot/api';
import type { ApiOptions } from '@polkadot/api/types';
import { Keyring } from '@polkadot/keyring';
import type { KeyringPair } from '@polkadot/keyring/types';
import { createDevChain, type DevChain, type DevChainOptions } from '../../../src/devchain/devchain.ts';
import { silentLog } from '../../../src/util/log.ts';

export const SPEC = fileURLToPath(new URL('../../../chain/spec/devnet.json', import.meta.url));

/** Public development keys, chain.md 8. */
const MNEMONIC = 'bottom drive obey lake curtain smoke basket hold race lonely fit walk';

/** Account `n` of the development mnemonic: 0 alith (sudo), 1 baltathar, 2 charleth, … */
export function devAccount(n: number): KeyringPair {
  return new Keyring({ type: 'ethereum' }).addFromUri(`${MNEMONIC}/m/44'/60'/0'/0/${n}`);
}

export const ONE_TENSOR = 10n ** 18n;

export async function startChain(options: Partial<DevChainOptions> = {}): Promise<DevChain> {
  const chain = await createDevChain({ spec: SPEC, mode: 'manual', ...options }, { log: silentLog });
  started.add(chain);
  return chain;
}

const started = new Set<DevChain>();

/** Also after a test that failed halfway: an open port would keep the test process alive. */
export async function closeStarted(): Promise<void> {
  await Promise.all([...started].map((chain) => chain.close()));
  started.clear();
}

export async function connectWs(chain: DevChain): Promise<ApiPromise> {
  return connect(new WsProvider(chain.endpoint));
}

export async function connectHttp(chain: DevChain): Promise<ApiPromise> {
  return connect(new HttpProvider(chain.httpEndpoint));
}

/** The library's own types do not agree under exactOptionalPropertyTypes. */
function connect(provider: WsProvider | HttpProvider): Promise<ApiPromise> {
  return ApiPromise.create({ provider: provider as NonNullable<ApiOptions['provider']>, noInitWarn: true });
}

export interface RawError {
  readonly code: number;
  readonly message: string;
  readonly data?: string;
}

export interface RawClient {
  /** Resolves to the result, rejects with the error member. */
  call(method: string, ...params: unknown[]): Promise<unknown>;
  /** The error member; fails when there is a result. */
  refusal(method: string, ...params: unknown[]): Promise<RawError>;
  /** Sends any text; resolves to the next message that is no notice. */
  send(text: string): Promise<unknown>;
  /** Every message in order of arrival. */
  readonly messages: readonly Record<string, unknown>[];
  /** Resolves when a message fits. */
  until(fits: (message: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  close(): void;
}

/** A WebSocket without any library between. */
export async function connectRaw(chain: DevChain): Promise<RawClient> {
  const socket = new WebSocket(chain.endpoint);
  const messages: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  let ids = 0;
  socket.addEventListener('message', ({ data }) => {
    messages.push(JSON.parse(String(data)) as Record<string, unknown>);
    for (const check of [...waiting]) check();
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('no connection')), { once: true });
  });

  function until(fits: (message: Record<string, unknown>) => boolean, from = 0): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
      const check = () => {
        const found = messages.slice(from).find(fits);
        if (found === undefined) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  }

  async function request(method: string, params: readonly unknown[]): Promise<Record<string, unknown>> {
    const id = ++ids;
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    return until((message) => message.id === id);
  }

  return {
    call: async (method, ...params) => {
      const answer = await request(method, params);
      if ('error' in answer) throw new Error(JSON.stringify(answer.error));
      return answer.result;
    },
    refusal: async (method, ...params) => {
      const answer = await request(method, params);
      if (!('error' in answer)) throw new Error(`${method} was not refused: ${JSON.stringify(answer.result)}`);
      return answer.error as RawError;
    },
    send: (text) => {
      const from = messages.length;
      socket.send(text);
      return until((message) => !('method' in message), from);
    },
    messages,
    until: (fits) => until(fits),
    close: () => socket.close(),
  };
}
