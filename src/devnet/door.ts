// The gateway of a development network, on the port that was asked for or, when that is the default and taken, on one of the next.

import { join } from 'node:path';
import { createNetworkGateway, type NetworkGatewayDeps } from '../gateway/network.ts';
import type { Gateway } from '../gateway/server.ts';
import { errorCode } from '../util/errors.ts';

const DEFAULT_PORT = 8080;
/** Ports looked at from the default on. */
const TRIED_PORTS = 20;

/**
 * @param port undefined: the default, or one of the next that is free; 0: any
 * @throws GatewayError GATEWAY_PORT_BUSY when the named port is taken
 */
export function openDoor(
  { port, dataDir }: { readonly port: number | undefined; readonly dataDir: string },
  deps: NetworkGatewayDeps,
  signal: AbortSignal,
): Promise<Gateway> {
  const listenOn = (at: number): Promise<Gateway> =>
    createNetworkGateway({ host: '127.0.0.1', port: at, keysFile: join(dataDir, 'gateway-keys.json') }, deps, signal);
  return listenKindly(port, listenOn);
}

/** On the named port; when none is named, on the first from the default on that is free. */
export async function listenKindly<T>(port: number | undefined, listenOn: (port: number) => Promise<T>): Promise<T> {
  if (port !== undefined) return listenOn(port);
  for (let at = DEFAULT_PORT; at < DEFAULT_PORT + TRIED_PORTS; at += 1) {
    try {
      return await listenOn(at);
    } catch (error) {
      if (errorCode(error) !== 'GATEWAY_PORT_BUSY') throw error;
    }
  }
  return listenOn(0);
}
