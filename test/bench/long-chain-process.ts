// A dev chain of many blocks in a process of its own, so that its memory is its own: every twentieth block has a transfer. Then it is opened again.

import { writeFileSync } from 'node:fs';
import { createChain } from '../../src/devchain/chain.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { genesisState, readSpec } from '../../src/devchain/spec.ts';
import { fromHex } from '../../src/util/bytes.ts';
import { silentLog } from '../../src/util/log.ts';

export interface LongChain {
  /** Milliseconds per block, per thousand blocks. */
  readonly blockMs: readonly number[];
  /** Resident memory after each thousand blocks, MB. */
  readonly rssMb: readonly number[];
  readonly transfers: number;
  /** From the file to the same head; by the clock, and of the processor. */
  readonly resumeMs: number;
  readonly resumeProcessorMs: number;
  readonly blockProcessorMs: number;
}

const [spec = '', dbFile = '', outFile = '', count = '0', ...transfers] = process.argv.slice(2);
const PER = 1000;

await hashingReady();
const genesis = genesisState(readSpec(spec));
const open = () => createChain({ genesis, finalityLag: 2, dbFile, fsync: false }, { log: silentLog });
const chain = open();
const blockMs: number[] = [];
const rssMb: number[] = [];
let included = 0;
const beforeBlocks = processorMs();
for (let done = 0; done < Number(count); done += PER) {
  const started = performance.now();
  for (let block = 0; block < PER; block++) {
    const transfer = (done + block) % 20 === 0 ? transfers[included] : undefined;
    if (transfer !== undefined && chain.submit(fromHex(transfer)).ok) included++;
    chain.newBlock();
  }
  blockMs.push((performance.now() - started) / PER);
  rssMb.push(Math.round(process.memoryUsage().rss / 2 ** 20));
}
const blockProcessorMs = (processorMs() - beforeBlocks) / Number(count);
const head = chain.head();
chain.close();
const beforeResume = processorMs();
const started = performance.now();
const again = open();
const resumeMs = performance.now() - started;
const resumeProcessorMs = processorMs() - beforeResume;
if (again.head().hash !== head.hash) throw new Error(`another head: ${again.head().hash} instead of ${head.hash}`);
again.close();
const result: LongChain = { blockMs, rssMb, transfers: included, resumeMs, resumeProcessorMs, blockProcessorMs };
writeFileSync(outFile, JSON.stringify(result));

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
