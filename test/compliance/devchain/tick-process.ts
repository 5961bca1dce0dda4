// A dev chain in a process of its own that prints each head; chain.spec.ts kills it.

import { createDevChain } from '../../../src/devchain/devchain.ts';
import { silentLog } from '../../../src/util/log.ts';

const [spec = '', dbFile = ''] = process.argv.slice(2);
const chain = await createDevChain({ spec, dbFile, mode: 'tick', blockMs: 5 }, { log: silentLog });
chain.onHead(({ number, hash }) => void process.stdout.write(`${number} ${hash}\n`));
