// deploy/ under linters: what a container engine, Prometheus, Grafana and systemd would refuse is found without them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { DCLinter } from 'dclint';
import { validate } from 'dockerfile-utils';
import yaml from 'yaml';

const DOCKERFILE = 'deploy/docker/Dockerfile';
const COMPOSE = 'deploy/docker/compose.yaml';
const UNIT = 'deploy/systemd/tessera.service';

interface ComposeFound {
  readonly messages: readonly { readonly type: string; readonly line: number; readonly message: string }[];
}

function dockerfileFaults(text: string): string[] {
  return validate(text).map(({ message, range }) => `${range.start.line + 1}: ${message}`);
}

/** Errors alone: in which order keys stand is a matter of taste. */
function composeFaults(file: string): string[] {
  const linter = new DCLinter({ rules: {}, quiet: false, debug: false, exclude: [] });
  const found = (linter.lintFiles([file], false) as readonly ComposeFound[]).flatMap(({ messages }) => messages);
  return found.filter(({ type }) => type === 'error').map(({ line, message }) => `${line}: ${message}`);
}

function isPromQl(expression: string): boolean {
  let faults = 0;
  parser.parse(expression).iterate({
    enter: ({ type }) => {
      if (type.isError) faults += 1;
    },
  });
  return faults === 0;
}

describe('deploy/ under linters', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-deploy-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('the Dockerfile is one, and copies what there is', () => {
    const text = readFileSync(DOCKERFILE, 'utf8');
    assert.deepEqual(dockerfileFaults(text), []);
    assert.ok(dockerfileFaults(text.replace('WORKDIR', 'WORKDIRS')).length > 0, 'the linter can fail');
    const ignored = readFileSync(`${DOCKERFILE}.dockerignore`, 'utf8').split('\n');
    for (const [, words = ''] of text.matchAll(/^COPY (?!--from)(.+)$/gm)) {
      for (const source of words.split(' ').slice(0, -1)) {
        assert.ok(existsSync(source), source);
        assert.ok(!ignored.includes(source.split('/')[0] ?? ''), `${source} is left out by .dockerignore`);
      }
    }
    // What the program reads beside its code: the page, the bundled model, the chain, its version.
    for (const needed of ['web', 'models', 'chain/spec', 'package.json', 'src', 'bin'])
      assert.match(text, new RegExp(`^COPY .*${needed}`, 'm'));
  });

  it('the compose file keeps the schema of compose files, and names files that there are', () => {
    assert.deepEqual(composeFaults(COMPOSE), []);
    const broken = join(folder, 'compose.yaml');
    writeFileSync(broken, readFileSync(COMPOSE, 'utf8').replaceAll('restart:', 'restarts:'));
    assert.ok(composeFaults(broken).length > 0, 'the linter can fail');
    const { services } = yaml.parse(readFileSync(COMPOSE, 'utf8'), { merge: true }) as {
      services: Record<string, { volumes?: string[]; depends_on?: object }>;
    };
    const mounts = Object.values(services).flatMap(({ volumes = [] }) => volumes.map((one) => one.split(':')[0] ?? ''));
    for (const mount of mounts.filter((one) => one.startsWith('.')))
      assert.ok(existsSync(join('deploy/docker', mount)), mount);
    for (const { depends_on = {} } of Object.values(services))
      for (const name of Array.isArray(depends_on) ? depends_on : Object.keys(depends_on))
        assert.ok(name in services, name);
  });

  it('every expression of dashboards and alerts is PromQL', () => {
    const boards = globSync('deploy/grafana/dashboards/*.json').flatMap(
      (file) => (JSON.parse(readFileSync(file, 'utf8')) as { panels: { targets: { expr: string }[] }[] }).panels,
    );
    const alerts = yaml.parse(readFileSync('deploy/prometheus/alerts.yml', 'utf8')) as {
      groups: { rules: { expr: string }[] }[];
    };
    const expressions = [
      ...boards.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
    ].map((expression) => expression.replaceAll('$instance', '.*'));
    assert.ok(expressions.length > 40);
    assert.deepEqual(
      expressions.filter((expression) => !isPromQl(expression)),
      [],
    );
    assert.equal(isPromQl('rate(tessera_duty_block[5m]'), false, 'the parser can fail');
  });

  it('systemd takes the unit', function () {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
      process.stdout.write('systemd-analyze: not run\n');
      this.skip();
    }
    const file = join(folder, 'tessera.service');
    const verdict = (text: string): string => {
      writeFileSync(file, text.replaceAll('/opt/tessera/node_modules/.bin/node', process.execPath));
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
      return status === 0 ? '' : stderr;
    };
    const unit = readFileSync(UNIT, 'utf8');
    assert.equal(verdict(unit), '');
    assert.notEqual(verdict(unit.replace('Type=exec', 'Type=executable').replace('ExecStart=', 'ExecBegin=')), '');
  });
});
