// `tessera devnet`, which is `npm start`: a whole network on this machine.

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashingReady } from '../../devchain/hashing.ts';
import { localSpec } from '../../devchain/local-spec.ts';
import { BUNDLED_SPEC, type DevnetEvent, runDevnet } from '../../devnet/devnet.ts';
import { defineCommand } from '../command.ts';
import { formatShare, type Io } from '../io.ts';
import { BUNDLED_MODEL, openModelOption } from '../session.ts';

export const devnet = defineCommand({
  name: 'devnet',
  describe: 'start a whole network on this machine',
  examples: [
    'tessera devnet',
    'tessera devnet --epochs 3 --block-ms 500 --prompt "Once upon a time" --json',
    'tessera devnet --data-dir ./net   # kept and resumed',
    `tessera devnet --genesis '{"network":{"epochLength":30}}'`,
  ],
  options: [
    'hosters',
    'attestors',
    'block-ms',
    'epochs',
    'prompt',
    'max-tokens',
    'port',
    'rpc-port',
    'drain-seconds',
    'model',
    'genesis',
    'param',
  ],
  async run({ options, dataDir, dataDirGiven, io, log, signal }) {
    const folder = dataDirGiven ? dataDir : mkdtempSync(join(tmpdir(), 'tessera-devnet-'));
    io.note(`Starting a network of ${options.hosters} hosters and ${options.attestors} attestors in ${folder} ...`);
    await hashingReady();
    const spec = localSpec({ ...options, file: BUNDLED_SPEC, params: options.param }, { log });
    const model = await openModelOption(options.model);
    await runDevnet(
      {
        hosters: options.hosters,
        attestors: options.attestors,
        blockMs: options['block-ms'],
        epochs: options.epochs,
        prompt: options.prompt,
        maxTokens: options['max-tokens'],
        rpcPort: options['rpc-port'],
        httpPort: options.port,
        drainSeconds: options['drain-seconds'],
        dataDir: folder,
        modelFolder: options.model ?? BUNDLED_MODEL,
        spec,
      },
      { model, log, tell: (event) => tell(event, io) },
      signal,
    );
  },
});

function tell(event: DevnetEvent, io: Io): void {
  if (event.event === 'node-outcome' && io.json) return;
  io.result(event, describeEvent(event));
}

function describeEvent(event: DevnetEvent): string {
  switch (event.event) {
    case 'chain-ready':
      return `chain    ${event.endpoint}, genesis ${event.genesis.slice(0, 10)}..., block ${event.block}`;
    case 'node-active':
      return `node ${event.id}   ${event.role}${event.shards.length > 0 ? ` of shards ${event.shards.join(' ')}` : ''}, peer ${event.peer.slice(-8)}, process ${event.pid}`;
    case 'node-stopped':
      return `node ${event.id}   stopped${event.code === null ? ' (killed)' : ` with exit code ${event.code}`}`;
    case 'node-outcome':
      return describeOutcome(event.id, event.outcome);
    case 'gateway-ready':
      return `open     ${event.url} shows all of this; OpenAI clients: ${event.url}/v1`;
    case 'generated':
      return `\n${event.prompt}${event.text}\n\n         ${event.tokens.length} tokens, ${event.tokensPerSecond} per second, over ${event.route.map((hop) => `node ${hop.node} (shards ${hop.shards.join(' ')})`).join(' -> ')}\n`;
    case 'embedded':
      return `\n"${event.prompt}" is a vector of ${event.dimensions} values, over ${event.route.map((hop) => `node ${hop.node} (shards ${hop.shards.join(' ')})`).join(' -> ')}\n`;
    case 'epoch-settled':
      return describeSettled(event);
    case 'summary':
      return `done     ${event.epochs.length} epochs accepted, block ${event.chain.block}, ${event.stretchedBlocks} blocks stretched`;
  }
}

/** A person sees who proposes, abstains and misses; the rest is routine. */
function describeOutcome(id: number, outcome: { readonly event: string; readonly [fact: string]: unknown }): string {
  const { event, ...facts } = outcome;
  if (!['proposed', 'abstained', 'missed', 'failed'].includes(event)) return '';
  return `node ${id}   ${event} ${Object.entries(facts)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`;
}

function describeSettled(event: DevnetEvent & { readonly event: 'epoch-settled' }): string {
  const head = `epoch ${event.epoch}  ${event.outcome}, proposer ${event.proposer}, ${event.attestations} of ${event.validators} attested`;
  const total = event.scores.reduce((sum, { score }) => sum + score, 0n);
  if (total === 0n) return head;
  const shares = event.scores.map(({ node, score }) => `${node}: ${formatShare((score * 10n ** 18n) / total)}`);
  return `${head}; scores of epoch ${event.scored}: ${shares.join(', ')}`;
}
