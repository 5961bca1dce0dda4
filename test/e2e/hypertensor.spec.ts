// The README's commands on Hypertensor's own runtime, word for word: the subnet by its shell lines, then the three nodes it names, until two
// epochs in a row have paid all of them. TESSERA_HYPERTENSOR_SPEC names the raw chain spec, which is not part of this project.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSigner } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain, EpochResult } from '../../src/chain/types.ts';
import { type Epoch, ONE, type SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Running, startCli, stopCli } from '../support/cli.ts';
import { nextBlock } from '../support/pace.ts';

const spec = process.env.TESSERA_HYPERTENSOR_SPEC;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SUBNET = 128_001 as SubnetId;
/** The first subnet's slot and that runtime's epoch. */
const SLOT = 3;
const EPOCH_LENGTH = 20;
const PATIENCE_BLOCKS = 140;

/** The indented blocks of a section of the README: the chain, the subnet, the nodes, its beginning. */
function commandsOf(section: string): readonly string[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, text = ''] = new RegExp(`^## ${section}\n([\\s\\S]*?)^## `, 'm').exec(readme) ?? [];
  return [...text.matchAll(/(?:^ {4}.*\n)+/gm)].map(([block]) => block.replace(/^ {4}/gm, ''));
}

function describeReadme(file: string): void {
  describe("README: on Hypertensor's runtime", function () {
    this.timeout(15 * 60_000);
    const folder = mkdtempSync(join(tmpdir(), 'tessera-hypertensor-'));
    const running: Running[] = [];
    let chain: Chain;

    after(async () => {
      await chain?.close();
      await Promise.all(running.reverse().map(stopCli));
      rmSync(folder, { recursive: true, force: true });
    });

    it('registers, is active, runs; two epochs settle with all votes, and rewards arrive', async () => {
      const [chainLine = '', subnetLines = '', nodeLines = '', lastLines = ''] = commandsOf('On Hypertensor');
      assert.equal(chainLine, 'tessera devchain --spec hoskinsonSpecRaw.json\n');
      const devchain = startCli(['devchain', '--spec', file, '--port', '0', '--mode', 'instant', '--json']);
      running.push(devchain);
      const endpoint = String((await devchain.waitFor((line) => line.event === 'chain-ready')).endpoint);

      type(subnetLines, endpoint);
      const nodes = nodeLines
        .trim()
        .split('\n')
        .map((line) => startNode(line, endpoint));
      running.push(...nodes);
      assert.equal(nodes.length, 3);
      for (const node of nodes) await node.waitFor((line) => line.event === 'ready');

      type(lastLines, endpoint);

      chain = await connectChain({ endpoints: [endpoint] }, { log: silentLog });
      const delegated = async () =>
        (await chain.holdings((await openSigner('//dev:0')).address)).delegations[0]?.balance;
      const before = await delegated();
      const { first, results } = await untilTwoAccepted(endpoint, nodes);
      assert.equal(first?.outcome, 'Empty', 'a first epoch, in which there is nothing to score, is agreed upon, too');
      for (const result of results) {
        assert.equal(result.attestationRatio, ONE, 'all have attested');
        assert.ok((result.minted ?? 0n) > 0n);
      }
      for (const { nodeClass, stake } of await chain.nodes(SUBNET)) {
        assert.equal(nodeClass, 'Validator');
        assert.ok(stake > 100n * ONE, `${stake}`);
      }
      assert.ok(((await delegated()) ?? 0n) > (before ?? 0n), 'who delegates is paid, too');
    });

    /** As in a shell, with `tessera` as the README's alias. */
    function type(lines: string, endpoint: string): void {
      const script = `set -eu; tessera() { ${process.execPath} ${ROOT}bin/tessera.js "$@"; }\n${lines}`;
      const env = { ...process.env, TESSERA_RPC: endpoint };
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder, env, encoding: 'utf8' });
      assert.equal(status, 0, `${stdout}\n${stderr}`);
    }

    function startNode(line: string, endpoint: string): Running {
      const words = line.split(' ').slice(1);
      const args = words.map((word) => (/^h\d$/.test(word) ? join(folder, word) : word));
      return startCli([...args, '--rpc', endpoint, '--threads', '1', '--json']);
    }

    /** Makes blocks until two epochs in a row were accepted; also how the first ended that had an elected node. */
    async function untilTwoAccepted(endpoint: string, nodes: readonly Running[]) {
      let first: EpochResult | undefined;
      for (let made = 0; made < PATIENCE_BLOCKS; made += 1) {
        const block = await nextBlock(endpoint, nodes);
        const last = Math.floor((block - SLOT) / EPOCH_LENGTH) - 1;
        if ((block - SLOT) % EPOCH_LENGTH !== 0 || last < 1) continue;
        const results = await Promise.all([last - 1, last].map((epoch) => chain.result(SUBNET, epoch as Epoch)));
        first ??= results[0] ?? results[1];
        const accepted = results.filter((result) => result?.outcome === 'Accepted');
        if (accepted.length === 2) return { first, results: accepted as readonly EpochResult[] };
      }
      return assert.fail(`no two epochs accepted within ${PATIENCE_BLOCKS} blocks`);
    }
  });
}

if (spec === undefined) {
  describe.skip('README: on Hypertensor (TESSERA_HYPERTENSOR_SPEC is not set)', () => it('two epochs settle'));
} else {
  describeReadme(spec);
}
