// npm run chain:check: the committed spec is the one that SHA256SUMS and the sources in chain/ speak of. Needs no Rust.
//   --build   also rebuilds wasm and spec (needs the compiler of chain/README.md) and expects the committed bytes
//   --node    also checks chain/node with its lints (needs Rust and what scripts/chain/node.sh names)

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createExecutor } from '../../src/devchain/executor.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { genesisState, readSpec } from '../../src/devchain/spec.ts';
import { silentLog } from '../../src/util/log.ts';
import { ROOT, SPEC, SUMS, sumsOf, wasmOf } from './sums.ts';

/** What Rust tests are run with: another compiler may accept or refuse other code. */
const TOOLCHAIN = '1.95.0';
/** Host functions that a runtime may import and the dev chain does not have: keys and off-chain workers are a full node's business. */
const MAY_BE_MISSING = /^ext_(offchain|crypto_(ed25519|sr25519|ecdsa)_(generate|public_keys|sign))/;

await hashingReady();
const faults = [
  ...sumFaults(),
  ...importFaults(),
  ...toolchainFaults(),
  ...(process.argv.includes('--build') ? buildFaults() : []),
  ...(process.argv.includes('--node') ? nodeFaults() : []),
];
for (const fault of faults) process.stderr.write(`chain:check: ${fault}\n`);
process.stdout.write(faults.length === 0 ? 'chain: spec, wasm, metadata, genesis and sources agree\n' : '');
process.exitCode = faults.length === 0 ? 0 : 1;

function sumFaults(): string[] {
  const said = readFileSync(SUMS, 'utf8').split('\n');
  const found = sumsOf(readFileSync(SPEC, 'utf8')).split('\n');
  const wrong = found.filter((line) => !said.includes(line)).map((line) => line.slice(line.indexOf(' ')).trim());
  const advice = 'edited without a rebuild? run npm run chain:rebuild';
  return wrong.map((name) => `${name} is not what chain/spec/SHA256SUMS says (${advice})`);
}

function importFaults(): string[] {
  const wasm = wasmOf(genesisState(readSpec(SPEC)));
  const { missingHostFunctions } = createExecutor(wasm, { log: silentLog });
  return missingHostFunctions
    .filter((name) => !MAY_BE_MISSING.test(name))
    .map((name) => `the dev chain lacks the host function ${name}`);
}

function toolchainFaults(): string[] {
  const text = readFileSync(join(ROOT, 'chain', 'rust-toolchain.toml'), 'utf8');
  const channel = /^channel = "(.*)"$/m.exec(text)?.[1];
  return channel === TOOLCHAIN ? [] : [`chain/rust-toolchain.toml names ${channel}, not ${TOOLCHAIN}`];
}

function buildFaults(): string[] {
  const [spec, sums] = [readFileSync(SPEC), readFileSync(SUMS)];
  const { status } = spawnSync(join(ROOT, 'scripts', 'chain', 'rebuild.sh'), { stdio: ['ignore', 2, 2] });
  if (status !== 0) return [`the rebuild failed with exit code ${status}`];
  const same = spec.equals(readFileSync(SPEC)) && sums.equals(readFileSync(SUMS));
  return same ? [] : ['the rebuild gives other bytes than those committed'];
}

function nodeFaults(): string[] {
  const env = { ...process.env, CHECK: '1' };
  const { status } = spawnSync('sh', [join(ROOT, 'scripts', 'chain', 'node.sh')], { stdio: ['ignore', 2, 2], env });
  return status === 0 ? [] : ['chain/node does not pass cargo clippy'];
}
