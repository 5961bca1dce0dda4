// Writes docs/options.md from the table of options: `npm run docs`. A test compares the two.

import { writeFileSync } from 'node:fs';
import { OPTIONS, type OptionName, shownDefault } from '../src/node/options.ts';

/** Read from the environment beside the options' twins. */
export const VARIABLES: Readonly<Record<string, string>> = {
  ONNXRUNTIME_NODE_INSTALL:
    'what `npm start` and `npm ci` let onnxruntime-node download by itself: `skip` (the default) nothing. For GPUs there is `npm run gpu:install`',
  HF_ENDPOINT: 'where `hf:` names of models lead; Hugging Face unless set',
  HF_TOKEN: 'sent to that hub alone: for private models, and to push',
  CHROMIUM: 'tests: the browser for the page; else where Debian and Google put it',
  TESSERA_CHAIN_NODE:
    'tests: a chain node built from `chain/node`, for those that need several validators; else they say that they did not run',
  TESSERA_CHAIN_ENDPOINTS:
    'tests: nodes of a chain that runs already, parted by commas, in place of one that they start',
  TESSERA_HYPERTENSOR_SPEC:
    "tests: a chain spec with Hypertensor's own runtime; else those tests say that they did not run",
  TESSERA_FAULT_SEED: 'tests: where and how hosters are disturbed in mid generation',
  TESSERA_FAULT_RUNS: 'tests: how often',
};

export const OPTIONS_PAGE = new URL('../docs/options.md', import.meta.url);

export function optionsPage(): string {
  const rows = (Object.keys(OPTIONS) as OptionName[]).toSorted().map((name) => {
    const { describe, kind } = OPTIONS[name];
    const shown = shownDefault(name);
    const flag = kind === 'flag' ? `--${name}` : `--${name} …`;
    const variable = `TESSERA_${name.toUpperCase().replaceAll('-', '_')}`;
    return `| \`${flag}\` | \`${variable}\` | ${shown === undefined || shown === '' ? '' : `\`${shown}\``} | ${describe.replaceAll('|', '/')} |`;
  });
  const variables = Object.entries(VARIABLES).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  return `# Options

Every option has a flag, an environment variable and a key in the config file (\`<data-dir>/config.yaml\`, the flag's name without dashes in
front). Flags beat the environment, that beats the file, that the default; \`tessera config\` prints each value and where it came from.
\`tessera <command> --help\` says which options a command takes. \`_\` may be typed for \`-\` in a flag. Lists take several values, separated by
spaces on the command line and by commas or spaces in a variable. Made by \`npm run docs\`.

| flag | environment | default | meaning |
|---|---|---|---|
${rows.join('\n')}

## Other variables

| environment | meaning |
|---|---|
${variables.join('\n')}
`;
}

if (import.meta.main) writeFileSync(OPTIONS_PAGE, optionsPage());
