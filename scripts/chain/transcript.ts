// npm run chain:transcript: four validators on loopback, the client's suite against them, two of them killed and started again, and all of it in
// docs/transcripts/chain-node.jsonl: headers with their seals, and a finality proof after each restart. TESSERA_CHAIN_NODE names the program.
//   --verify          checks the file as it lies there, offline
//   --slot-ms 500     milliseconds of a block; a proof is stored every 512 blocks, so a record of two restarts takes 1,024 and more

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { encodeHeader, type Header } from '../../src/devchain/header.ts';
import { type Hex, hex } from '../../src/devchain/hex.ts';
import { genesisState } from '../../src/devchain/spec.ts';
import { toHex } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { GRACE_EPOCHS } from '../../test/compliance/chain.ts';
import { type LocalValidator, localNetworkSpec, startLocalNetwork } from './local-network.ts';
import { ROOT, wasmOf } from './sums.ts';
import { checkTranscript, readTranscript, TRANSCRIPT, type TranscriptLine } from './transcript-check.ts';

const SUITE = join(ROOT, 'test', 'compliance', 'chain-node.spec.ts');
/** Blocks between two proofs that a node stores (chain/node/src/service.rs). */
const PROOF_PERIOD = 512;
/** What the suite asks of the network that it runs against. */
const PARAMETERS = { activationGraceEpochs: GRACE_EPOCHS };
/** The engine's name that stands before a stored proof. */
const GRANDPA = [...Buffer.from('FRNK')];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface RpcHeader {
  readonly parentHash: Hex;
  readonly number: string;
  readonly stateRoot: Hex;
  readonly extrinsicsRoot: Hex;
  readonly digest: { readonly logs: readonly Hex[] };
}

async function ask<T>(endpoint: string, method: string, ...params: readonly unknown[]): Promise<T> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(endpoint.replace('ws:', 'http:'), { method: 'POST', headers, body });
  const { result, error } = (await response.json()) as { readonly result: T; readonly error?: object };
  if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
  return result;
}

async function record(binary: string, slotMs: number): Promise<readonly TranscriptLine[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-transcript-'));
  const validators = await startLocalNetwork({ binary, folder, slotMs, network: PARAMETERS });
  try {
    return await recordNetwork(validators, slotMs);
  } finally {
    await Promise.all(validators.map((validator) => validator.stop()));
    rmSync(folder, { recursive: true });
  }
}

async function recordNetwork(
  validators: readonly LocalValidator[],
  slotMs: number,
): Promise<readonly TranscriptLine[]> {
  const [alice, , charlie, dave] = validators as readonly [
    LocalValidator,
    LocalValidator,
    LocalValidator,
    LocalValidator,
  ];
  const { endpoint } = alice;
  const spec = await localNetworkSpec({ slotMs, network: PARAMETERS });
  const lines: TranscriptLine[] = [
    { network: { slotMs, parameters: PARAMETERS } },
    {
      wasm: toHex(sha256(wasmOf(genesisState(JSON.parse(spec))))),
      genesis: await ask(endpoint, 'chain_getBlockHash', 0),
    },
  ];
  const header = async (hash?: Hex) =>
    ask<RpcHeader>(endpoint, 'chain_getHeader', ...(hash === undefined ? [] : [hash]));
  const best = async () => Number((await header()).number);
  const finalized = async () => Number((await header(await ask<Hex>(endpoint, 'chain_getFinalizedHead'))).number);
  const did = async (what: string) => {
    const line = { did: what, best: await best(), finalized: await finalized() };
    say(JSON.stringify(line));
    lines.push(line);
  };
  const untilFinal = async (block: number) => {
    while ((await finalized()) < block) await sleep(slotMs);
  };

  await untilFinal(1);
  await did('started alice, bob, charlie and dave');
  await did(`the client's suite ran against them: ${await runSuite(validators)}`);
  for (const validator of [dave, charlie]) {
    await validator.stop('SIGKILL');
    await did(`killed ${validator.name}`);
    await untilFinal((await best()) + 5);
    await did('three of four went on');
    await validator.start();
    await did(`started ${validator.name} again`);
    const from = (await best()) + 5;
    await untilFinal(Math.ceil(from / PROOF_PERIOD) * PROOF_PERIOD + 2);
    await did('a finality proof was stored');
  }
  const last = await finalized();
  for (let number = 1; number <= last; number++) {
    const hash = await ask<Hex>(endpoint, 'chain_getBlockHash', number);
    const { block, justifications } = await ask<{
      block: { header: RpcHeader; extrinsics: readonly Hex[] };
      justifications: readonly (readonly [readonly number[], readonly number[]])[] | null;
    }>(endpoint, 'chain_getBlock', hash);
    lines.push({ header: hex(encodeHeader(toHeader(block.header))), extrinsics: block.extrinsics });
    for (const [engine, bytes] of justifications ?? [])
      if (engine.join() === GRANDPA.join()) lines.push({ proof: hex(Uint8Array.from(bytes)), block: number });
  }
  return lines;
}

function toHeader({ parentHash, number, stateRoot, extrinsicsRoot, digest }: RpcHeader): Header {
  return { parentHash, number: Number(number), stateRoot, extrinsicsRoot, logs: digest.logs };
}

/** `N passing, M failing`. Rejects where one failed. */
async function runSuite(validators: readonly LocalValidator[]): Promise<string> {
  const endpoints = validators.map(({ endpoint }) => endpoint).join();
  const child = spawn('mocha', [SUITE], {
    cwd: ROOT,
    env: { ...process.env, TESSERA_CHAIN_ENDPOINTS: endpoints },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    output += chunk;
    process.stderr.write(chunk);
  }
  const passing = /(\d+) passing/.exec(output)?.[1] ?? '0';
  const failing = /(\d+) failing/.exec(output)?.[1] ?? '0';
  if (passing === '0' || failing !== '0') throw new Error(`the suite: ${passing} passing, ${failing} failing`);
  return `${passing} passing, ${failing} failing`;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { verify: { type: 'boolean', default: false }, 'slot-ms': { type: 'string', default: '500' } },
  });
  const binary = process.env.TESSERA_CHAIN_NODE;
  if (!values.verify) {
    if (binary === undefined)
      throw new Error('TESSERA_CHAIN_NODE is not set: npm run chain:node says where the program is');
    const lines = await record(binary, Number(values['slot-ms']));
    await checkTranscript(lines);
    mkdirSync(dirname(TRANSCRIPT), { recursive: true });
    writeFileSync(TRANSCRIPT, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
  }
  const { blocks, sealed, proofs, isThisRuntime, executed } = await checkTranscript(readTranscript());
  process.stdout.write(
    `${blocks} blocks follow each other and are sealed by their authorities: ${sealed.join(', ')}\n`,
  );
  for (const { block, votes } of proofs) process.stdout.write(`block ${block} is final by ${votes} of 4 votes\n`);
  process.stdout.write(
    isThisRuntime
      ? `genesis and wasm are those of this checkout; ${executed} blocks executed here come to the same state roots\n`
      : 'made with another wasm than that of this checkout: the genesis is taken as told\n',
  );
}
