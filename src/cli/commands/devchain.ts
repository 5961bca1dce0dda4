// `tessera devchain`: only the chain, in this process.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createDevChain } from '../../devchain/devchain.ts';
import { hashingReady } from '../../devchain/hashing.ts';
import { localSpec } from '../../devchain/local-spec.ts';
import { BUNDLED_SPEC } from '../../devnet/devnet.ts';
import { defineCommand } from '../command.ts';

/** Where chain clients look by default. */
const CHAIN_PORT = 9944;
const DEFAULT_ENDPOINT = `ws://127.0.0.1:${CHAIN_PORT}`;

export const devchain = defineCommand({
  name: 'devchain',
  describe: 'run a development chain alone',
  examples: [
    'tessera devchain',
    'tessera devchain --mode instant --port 9955 --data-dir ./chain-data',
    `tessera devchain --preset strict --genesis '{"network":{"epochLength":10}}'`,
  ],
  options: [
    'spec',
    'preset',
    'genesis',
    'param',
    'genesis-time',
    'host',
    'port',
    'mode',
    'block-ms',
    'finality-lag',
    'fsync',
  ],
  async run({ options, dataDir, dataDirGiven, io, log, signal }) {
    const folder = join(dataDir, 'chain');
    if (dataDirGiven) mkdirSync(folder, { recursive: true });
    await hashingReady();
    const spec = localSpec({ ...options, file: options.spec ?? BUNDLED_SPEC, params: options.param }, { log });
    const chain = await createDevChain(
      {
        spec,
        mode: options.mode,
        blockMs: options['block-ms'],
        finalityLag: options['finality-lag'],
        fsync: options.fsync,
        ...(options['genesis-time'] === undefined ? {} : { genesisTime: options['genesis-time'] }),
        host: options.host,
        port: options.port ?? CHAIN_PORT,
        ...(dataDirGiven ? { dbFile: join(folder, 'blocks.jsonl') } : {}),
      },
      { log: log.child('devchain') },
    );
    const { number, hash } = chain.head();
    io.result(
      { event: 'chain-ready', endpoint: chain.endpoint, genesis: chain.genesisHash, block: number },
      `READY ${chain.endpoint} block=${number} hash=${hash}`,
    );
    if (!dataDirGiven) io.note('The chain lives in memory; with --data-dir FOLDER it is kept.');
    if (chain.endpoint !== DEFAULT_ENDPOINT) io.note(`Commands find it with --rpc ${chain.endpoint}, or TESSERA_RPC.`);
    io.note('Next, in another terminal: tessera keygen');
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    const last = chain.head();
    await chain.close();
    io.result(
      { event: 'chain-stopped', block: last.number, hash: last.hash },
      `STOPPED ${chain.endpoint} block=${last.number} hash=${last.hash}`,
    );
  },
});
