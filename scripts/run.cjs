'use strict';
// Runs a TypeScript file of this checkout under Node 24: `node scripts/run.cjs FILE [args]`.
// Plain JavaScript for any Node from 18 on, because it is what `npm start` and `npm test` meet on a fresh clone: it installs first
// (to stderr, stdout belongs to the program), keeps onnxruntime-node from its CUDA download, and hands over signals and exit code.
const { spawn, spawnSync } = require('node:child_process');
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { createHash } = require('node:crypto');
const { join } = require('node:path');

const root = join(__dirname, '..');
const modules = join(root, 'node_modules');
const stamp = join(modules, '.tessera-installed');
const node = join(modules, '.bin', process.platform === 'win32' ? 'node.exe' : 'node');

/** Identifies an install: another lock file, platform or GPU wish means installing again. */
function wantedInstall() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const ort = process.env.ONNXRUNTIME_NODE_INSTALL || 'skip';
  return createHash('sha256').update(lock).update(`${process.platform}-${process.arch}-${ort}`).digest('hex');
}

function install() {
  const wanted = wantedInstall();
  if (existsSync(stamp) && existsSync(node) && readFileSync(stamp, 'utf8') === wanted) return;
  process.stderr.write('tessera: installing dependencies (npm ci), a minute or two the first time ...\n');
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: process.env.ONNXRUNTIME_NODE_INSTALL || 'skip' };
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--include=dev', '--loglevel=error'], {
    cwd: root,
    env,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) {
    process.stderr.write(
      `tessera: npm ci failed (exit ${npm.status}). Check the network and the npm registry, then try again.\n`,
    );
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

install();
const child = spawn(node, ['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${join(modules, '.bin')}${require('node:path').delimiter}${process.env.PATH}` },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
// npm ends its shell and not what that has started: who ends npm ends this too.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(look);
    child.kill('SIGTERM');
  }, 1000);
}
child.on('exit', (code, signal) => process.exit(code ?? 128 + (require('node:os').constants.signals[signal] ?? 0)));
