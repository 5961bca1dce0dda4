// `tessera config`: every option with its value now, and where that came from.

import { OPTIONS, type OptionName } from '../../node/options.ts';
import { defineCommand } from '../command.ts';
import { formatTensor, table } from '../io.ts';

const NAMES = Object.keys(OPTIONS) as OptionName[];

export const config = defineCommand({
  name: 'config',
  describe: 'show every option, its value, and where it came from',
  examples: ['tessera config', 'TESSERA_RPC=ws://10.0.0.5:9944 tessera config --data-dir n1 --json | jq .rpc'],
  options: NAMES,
  async run({ options, given, source, dataDir, io }) {
    const rows = NAMES.toSorted().map((name) => {
      const value = name === 'data-dir' ? dataDir : options[name];
      return { name, value, given: given(name), source: source(name) };
    });
    if (io.json) {
      const entries = rows.map(({ name, value, source: from }) => [name, { value: value ?? null, source: from }]);
      io.result({ event: 'config', ...Object.fromEntries(entries) }, '');
      return;
    }
    io.result({}, table(rows.map((row) => [row.name, shown(row.value), row.given ? row.source : 'default'])));
    io.note('Flags beat the environment (TESSERA_<NAME>), that beats the config file, that the default.');
  },
});

function shown(value: unknown): string {
  if (value === undefined) return '-';
  if (typeof value === 'bigint') return `${formatTensor(value, 18)} TENSOR`;
  return Array.isArray(value) ? value.join(' ') || '-' : String(value);
}
