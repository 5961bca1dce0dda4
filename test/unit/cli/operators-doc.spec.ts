// docs/operators.md, docs/options.md and deploy/ say what the code does: options, exit codes, metrics, events and reasons, both ways round.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import yaml from 'yaml';
import { OPTIONS_PAGE, optionsPage, VARIABLES } from '../../../scripts/docs.ts';
import { EXIT_CODES } from '../../../src/cli/exit.ts';
import { FAULT_WORDS, MISSED_WORDS, REWARD_WORDS } from '../../../src/cli/words.ts';
import { GATEWAY_METRIC_NAMES } from '../../../src/gateway/metrics.ts';
import { METRIC_NAMES } from '../../../src/node/metrics.ts';
import { OPTIONS } from '../../../src/node/options.ts';

const DOC = readFileSync('docs/operators.md', 'utf8');
const DEPLOYED = ['deploy/systemd/tessera.service', 'deploy/docker/setup.sh', 'deploy/docker/compose.yaml'];

/** First cells of the rows between a heading and the next one. */
function column(heading: string, page = DOC): string[] {
  const section = page.split(new RegExp(`^#+ ${heading}$`, 'm'))[1]?.split(/^#+ /m)[0] ?? '';
  const cells = [...section.matchAll(/^\| ([^|]+) \|/gm)].map((match) => match[1] ?? '');
  return cells.slice(1).filter((cell) => !/^-+$/.test(cell));
}

function named(cells: readonly string[]): string[] {
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')).sort();
}

function flagsIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w-])--([a-z][a-z-]+)/g)].map((match) => match[1] ?? '');
}

const FOREIGN_FLAGS = [
  ...['system', 'now', 'home-dir', 'help', 'build', 'gpus'],
  ...flagsIn(readFileSync('scripts/gpu/install.ts', 'utf8')),
];
const isOption = (flag: string) => flag in OPTIONS || FOREIGN_FLAGS.includes(flag);

describe('docs/options.md', () => {
  it('is what `npm run docs` writes', () => {
    assert.equal(readFileSync(OPTIONS_PAGE, 'utf8'), optionsPage(), 'type: npm run docs');
  });
});

describe('docs/operators.md', () => {
  it('names flags and variables that there are', () => {
    assert.deepEqual(
      flagsIn(DOC).filter((flag) => !isOption(flag)),
      [],
    );
    const variables = [...DOC.matchAll(/TESSERA_([A-Z_]+)/g)].map((match) => (match[1] ?? '').toLowerCase());
    assert.deepEqual(
      variables.filter((name) => !(name.replaceAll('_', '-') in OPTIONS)),
      [],
    );
  });

  it('names every exit code, and no other', () => {
    const codes = new Set([0, 1, ...Object.values(EXIT_CODES)]);
    assert.deepEqual(
      column('Exit codes').map(Number),
      [...codes].sort((a, b) => a - b),
    );
  });

  it('so does README', () => {
    const line = readFileSync('README.md', 'utf8').split('## Exit codes')[1]?.split('##')[0] ?? '';
    const codes = new Set([0, 1, ...Object.values(EXIT_CODES)]);
    const told = [...line.matchAll(/(?:^|· )(\d+) /gm)].map((match) => Number(match[1]));
    assert.deepEqual(
      told,
      [...codes].sort((a, b) => a - b),
    );
  });

  it('names every metric, and no other', () => {
    assert.deepEqual(named(column('Monitoring')), METRIC_NAMES.toSorted());
  });

  it('names every reason for a missed duty, for a reward and for a score of 0', () => {
    assert.deepEqual(named(column('Missed duties')), Object.keys(MISSED_WORDS).sort());
    assert.deepEqual(named(column('Rewards')), Object.keys(REWARD_WORDS).sort());
    assert.deepEqual(named(column('Faults')), Object.keys(FAULT_WORDS).sort());
  });

  it('names every event of a node', () => {
    const duty =
      readFileSync('src/consensus/duty.ts', 'utf8').split('export type Outcome =')[1]?.split(';\n\n')[0] ?? '';
    const outcomes = [...duty.matchAll(/(?<=[:|] )'([a-z]+)'/g)].map((match) => match[1] ?? '');
    const sources = ['src/cli/commands/run.ts', 'src/cli/drain.ts'].map((file) => readFileSync(file, 'utf8')).join('');
    const told = [...sources.matchAll(/event: '([a-z]+)'/g)].map((m) => m[1] ?? '');
    const kinds = ['work', 'scores', 'opening', 'submission'];
    const moves = [...readFileSync('src/node/mover.ts', 'utf8').matchAll(/readonly type: '([a-z]+)'/g)].map(
      (m) => m[1] ?? '',
    );
    const all = [...outcomes.filter((name) => !kinds.includes(name)), ...told, ...moves, 'head', 'failed', 'judged'];
    const events = new Set(all);
    const inDoc = named(column('What a node says')).filter((name) => !['--json', 'wa', 'wb'].includes(name));
    assert.deepEqual(inDoc, [...events].sort());
  });
});

describe('docs/clients.md', () => {
  const page = readFileSync('docs/clients.md', 'utf8');
  const sources = globSync('src/gateway/*.ts').map((file) => readFileSync(file, 'utf8'));
  const each = (pattern: RegExp): Set<string> =>
    new Set(sources.flatMap((text) => [...text.matchAll(pattern)].map((match) => match.slice(1).join(' '))));
  const sorted = (names: Iterable<string>) => [...new Set(names)].sort();

  it('names every metric of a gateway, and no other', () => {
    assert.deepEqual(named(column('Metrics', page)), GATEWAY_METRIC_NAMES.toSorted());
  });

  it('names flags that there are', () => {
    assert.deepEqual(
      flagsIn(page).filter((flag) => !isOption(flag)),
      [],
    );
  });

  it('names every route, and no other', () => {
    const routes = each(/\bapp\.(get|post)(?:<.*>)?\(\s*'([^']+)'/g);
    const inCode = sorted(
      [...routes].map((route) => route.replace(/:(\w+)/, '{id}').replace('/page/{id}', '/page/{name}')),
    );
    const inDoc = column('The gateway', page).flatMap((cell) => {
      const [method = ''] = cell.match(/GET|POST/) ?? [];
      return named([cell]).map((path) => `${method} ${path.replace(`${method} `, '')}`.toLowerCase());
    });
    assert.ok(inCode.length > 10);
    assert.deepEqual(sorted(inDoc), inCode);
    const node = readFileSync('src/node/metrics-server.ts', 'utf8').matchAll(/request\.url [!=]== '([^']+)'/g);
    assert.deepEqual(
      sorted([...DOC.matchAll(/`GET (\/\w+)`/g)].map((match) => match[1] ?? '')),
      sorted([...node].map((match) => match[1] ?? '')),
    );
  });

  it('names every error code of the API, and no other', () => {
    const written = each(/(?:\bcode(?:: | = )|,\s+)'([a-z]+(?:_[a-z]+)+|closing)'\s*[,)}]/g);
    const failures = each(/case '(NO_ROUTE|GENERATION_FAILED)'/g);
    const inDoc = [
      ...(page
        .split('### Errors')[1]
        ?.split('###')[0]
        ?.matchAll(/^\| [\d, ]+ \| ([^|]+) \|/gm) ?? []),
    ];
    assert.deepEqual(
      sorted(inDoc.flatMap((match) => named([match[1] ?? '']))),
      sorted([...written, ...[...failures].map((code) => code.toLowerCase())]),
    );
  });
});

describe('environment', () => {
  it('every variable that is read stands in docs/options.md, and no other', () => {
    const files = globSync('{src,bin,scripts,test}/**/*.{ts,js,cjs}').map((file) => readFileSync(file, 'utf8'));
    const read = files.flatMap((text) => [...text.matchAll(/process\.env\.([A-Z_]+)/g)].map((match) => match[1] ?? ''));
    const ours = read.filter((name) => name !== 'PATH' && !name.startsWith('POLKADOTJS_'));
    assert.deepEqual([...new Set(ours)].sort(), Object.keys(VARIABLES).sort());
  });
});

describe('deploy/', () => {
  const metricsIn = (text: string): string[] =>
    [...text.matchAll(/\b((?:tessera|process|nodejs)_[a-z0-9_]+)/g)].map((m) => m[1] ?? '');
  const own = [...METRIC_NAMES, ...GATEWAY_METRIC_NAMES];
  /** A histogram is asked for by its buckets. */
  const known = (name: string) => own.includes(name.replace(/_bucket$/, '')) || /^(process|nodejs)_/.test(name);

  it('types flags that there are', () => {
    for (const file of DEPLOYED) {
      const ours = readFileSync(file, 'utf8').replace(/"--(config\.file|web\.)[^"]*"/g, '');
      assert.deepEqual(
        flagsIn(ours).filter((flag) => !isOption(flag)),
        [],
        file,
      );
    }
  });

  it('does not restart what a restart cannot cure', () => {
    const unit = readFileSync('deploy/systemd/tessera.service', 'utf8');
    const never = column('Exit codes').filter((code) => DOC.includes(`| no |`) && !['0', '1', '3'].includes(code));
    assert.match(unit, new RegExp(`^RestartPreventExitStatus=${never.join(' ')}$`, 'm'));
  });

  it('shows and watches metrics that there are, and none is left out', () => {
    const dashboards = globSync('deploy/grafana/dashboards/*.json').map((file) =>
      JSON.parse(readFileSync(file, 'utf8')),
    );
    assert.equal(dashboards.length, 4);
    const shown = dashboards.flatMap(({ panels }) => {
      assert.ok(panels.length >= 6);
      return panels.flatMap(({ targets, title }: { targets: { expr: string }[]; title: string }) => {
        const found = targets.flatMap(({ expr }) => metricsIn(expr));
        assert.ok(found.length > 0, title);
        return found;
      });
    });
    assert.deepEqual(
      shown.filter((name) => !known(name)),
      [],
    );
    assert.deepEqual(
      own.filter((name) => !shown.includes(name) && !shown.includes(`${name}_bucket`)),
      [],
    );
    const { groups } = yaml.parse(readFileSync('deploy/prometheus/alerts.yml', 'utf8')) as {
      groups: { rules: { alert: string; expr: string; annotations: { summary: string; action: string } }[] }[];
    };
    for (const { alert, expr, annotations } of groups.flatMap(({ rules }) => rules)) {
      assert.ok(/^up\{/.test(expr) || (metricsIn(expr).length > 0 && metricsIn(expr).every(known)), alert);
      assert.ok(annotations.summary !== '' && annotations.action !== '', alert);
      assert.ok(DOC.includes(`\`${alert}\``), `${alert} stands in docs/operators.md`);
    }
  });
});
