// `tessera devchain`: only the chain, in this process.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDevChain } from '../../devchain/devchain.ts';
import { defineCommand } from '../command.ts';

export const BUNDLED_SPEC = fileURLToPath(new URL('../../../chain/spec/devnet.json', import.meta.url));
