// npm run chain:spec -- OUT.json [--name NAME] [--preset P] [--genesis JSON] [--param KEY=0x...]: a raw spec for a network of one's own, with the
// committed runtime inside (chain.md 8). What a full node reads besides the genesis stands in the bundled spec already.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { type LocalSpecOptions, localSpec } from '../../src/devchain/local-spec.ts';
import { silentLog } from '../../src/util/log.ts';
import { SPEC } from './sums.ts';

/** The text of a spec file; `name` is what nodes of one network have in common, and their databases' folder. */
export async function ownSpec(name: string, genesis: Omit<LocalSpecOptions, 'file'>): Promise<string> {
  await hashingReady();
  const spec = localSpec({ ...genesis, file: SPEC }, { log: silentLog });
  const id = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_');
  const raw = { ...spec.genesis.raw, childrenDefault: {} };
  return `${JSON.stringify({ ...spec, name, id, protocolId: id, chainType: 'Local', genesis: { raw } })}\n`;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      name: { type: 'string', default: 'Tessera Local' },
      preset: { type: 'string' },
      genesis: { type: 'string' },
      param: { type: 'string', multiple: true, default: [] },
    },
  });
  const [file] = positionals;
  if (file === undefined) throw new Error('which file? npm run chain:spec -- OUT.json');
  writeFileSync(file, await ownSpec(values.name, { ...values, params: values.param }));
}
