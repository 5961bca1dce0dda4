// Writes docs/options.md from the table of options: `npm run docs`. A test compares the two.

import { writeFileSync } from 'node:fs';
import { OPTIONS, type OptionName, shownDefault } from '../src/node/options.ts';

export const OPTIONS_PAGE = new URL('../docs/options.md', import.meta.url);

export function optionsPage(): string {
  const rows = (Object.keys(OPTIONS) as OptionName[]).toSorted().map((name) => {
    const { describe, kind } = OPTIONS[name];
    const shown = shownDefault(name);
    const flag = kind === 'flag' ? `--${name}` : `--${name} …`;
    const variable = `TESSERA_${name.toUpperCase().replaceAll('-', '_')}`;
    return `| \`${flag}\` | \`${variable}\` | ${shown === undefined || shown === '' ? '' : `\`${shown}\``} | ${describe.replaceAll('|', '/')} |`;
  });
  return `# Options

Every option has a flag, an environment variable and a key in the config file (\`<data-dir>/config.yaml\`, the flag's name without dashes in
front). Flags beat the environment, that beats the file, that the default; \`tessera config\` prints each value and where it came from.
\`tessera <command> --help\` says which options a command takes. \`_\` may be typed for \`-\` in a flag. Lists take several values, separated by
spaces on the command line and by commas or spaces in a variable. Made by \`npm run docs\`.

| flag | environment | default | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

if (import.meta.main) writeFileSync(OPTIONS_PAGE, optionsPage());
