// `tessera slashing export|import`: what a node signed, as a documented JSON file, so that a node which moves to another machine signs
// nothing twice. Works without a chain; the node must be stopped.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportJournal, importJournal, parseInterchange } from '../../store/interchange.ts';
import { createJournal, journalGenesis } from '../../store/sqlite.ts';
import type { Hash } from '../../types/ids.ts';
import { CodedError, errorMessage } from '../../util/errors.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { writeSecretFile } from '../secret-file.ts';
import { waitWarning } from './keys.ts';

const OPTIONS = ['in', 'out'] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

class InterchangeError extends CodedError<{ readonly code: 'INTERCHANGE_INVALID'; readonly file: string }> {}

export const slashing = defineCommand({
  name: 'slashing',
  describe: 'export or import what this node has signed',
  examples: [
    'tessera slashing export --out signed.json',
    'tessera slashing import --in signed.json --data-dir /var/lib/tessera',
  ],
  options: OPTIONS,
  actions: {
    export: 'write everything signed to --out FILE; stop the node first',
    import: 'add what --in FILE says to the journal; nothing there is replaced',
  },
  async run(context) {
    if (context.action === 'export') exportSigned(context);
    else importSigned(context);
  },
});

function exportSigned({ options, dataDir, io }: Context): void {
  if (options.out === undefined) throw new UsageError('--out FILE is needed');
  const file = join(dataDir, 'journal.sqlite');
  const genesis = journalGenesis(file);
  const journal = createJournal({ file, genesis });
  try {
    const interchange = exportJournal(journal, genesis);
    writeSecretFile(options.out, `${JSON.stringify(interchange)}\n`);
    const { signed, openings } = interchange;
    io.result(
      { event: 'slashing-exported', file: options.out, genesis, signed: signed.length, openings: openings.length },
      `${signed.length} signed slots and ${openings.length} openings written to ${options.out}`,
    );
    io.note('The openings are secret until they are revealed: hand the file to nobody. Do not start this node again.');
  } finally {
    journal.close();
  }
}

function importSigned({ options, dataDir, io }: Context): void {
  if (options.in === undefined) throw new UsageError('--in FILE is needed');
  const parsed = parseInterchange(readJson(options.in));
  if (!parsed.ok) throw invalid(options.in, parsed.why);
  const { interchange } = parsed;
  const genesis = interchange.metadata.genesis as Hash;
  const journal = createJournal({ file: join(dataDir, 'journal.sqlite'), genesis });
  try {
    const outcome = importJournal(journal, interchange);
    io.result(
      { event: 'slashing-imported', genesis, ...outcome },
      `${outcome.written} slots added, ${outcome.same} known already, ${outcome.different} known with other content (kept as they were), ${outcome.past} too old to be signed again`,
    );
    io.note(waitWarning(outcome.lastEpoch));
  } finally {
    journal.close();
  }
}

function readJson(file: string): unknown {
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(file, errorMessage(error));
  }
}

function invalid(file: string, why: string): InterchangeError {
  return new InterchangeError(
    { code: 'INTERCHANGE_INVALID', file },
    `${file} is not what \`tessera slashing export\` writes: ${why}`,
  );
}
