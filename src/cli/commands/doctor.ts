// `tessera doctor`: looks at everything a node needs, and says of each thing how it stands and what to do. Changes nothing, signs nothing.

import { constants, existsSync, readFileSync } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { arch, networkInterfaces, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { connectChain } from '../../chain/substrate.ts';
import type { Chain } from '../../chain/types.ts';
import { phaseAt } from '../../consensus/phase.ts';
import { readIdentityPeer } from '../../p2p/identity.ts';
import { createJournal, journalGenesis } from '../../store/sqlite.ts';
import type { Epoch, SubnetId } from '../../types/ids.ts';
import { CodedError, errorCode, errorMessage } from '../../util/errors.ts';
import {
  type Check,
  checkBalance,
  checkDevice,
  checkDisk,
  checkEndpoint,
  checkEpochs,
  checkIdentity,
  checkReach,
  checkRegistration,
  checkVersion,
  good,
  problem,
  warning,
} from '../checks.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { bundledProviders, findGpu, probeGpu } from '../gpu.ts';
import { listKeys } from '../key-files.ts';
import { addressOption, identityFile } from '../session.ts';

const OPTIONS = ['rpc', 'subnet-id', 'hotkey', 'identity-path', 'host-maddrs', 'announce-maddrs'] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

class DoctorError extends CodedError<{ readonly code: 'DOCTOR_PROBLEMS'; readonly problems: number }> {}

const RPC_MS = 15_000;

const SHOWN_EPOCHS = 8;

export const doctor = defineCommand({
  name: 'doctor',
  describe: 'check this machine, its keys, the chain and the registration',
  examples: [
    'tessera doctor',
    'tessera doctor --hotkey ~/.tessera/keys/hotkey.json --host-maddrs /ip4/0.0.0.0/tcp/31330',
    'tessera doctor --json | jq -r \'select(.verdict != "good") | .todo\'',
  ],
  options: OPTIONS,
  async run(context) {
    const found: Check[] = [];
    const tell = (checks: readonly Check[]): void => {
      for (const check of checks) {
        found.push(check);
        context.io.result({ event: 'check', ...check }, describeCheck(check));
      }
    };
    tell([checkVersion(process.version, `${platform()}-${arch()}`, packageVersion()), checkClock()]);
    tell([await diskOf(context.dataDir), await deviceOf()]);
    tell([...checkKeys(context), checkJournal(context.dataDir)]);
    tell(await checkPorts(context));
    tell(await checkChain(context));
    const problems = found.filter(({ verdict }) => verdict === 'problem').length;
    if (problems > 0)
      throw new DoctorError(
        { code: 'DOCTOR_PROBLEMS', problems },
        `${problems === 1 ? '1 problem' : `${problems} problems`}; each line above says what to do`,
      );
    context.io.note('Nothing that keeps a node from running.');
  },
});

function describeCheck({ check, verdict, says, todo }: Check): string {
  const head = `${verdict.padEnd(7)}  ${check}: ${says}`;
  return todo === undefined ? head : `${head}\n         -> ${todo}`;
}

function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Rules know no clock but the block number; logs and TLS do. */
function checkClock(): Check {
  const isKnown = ['/run/systemd/timesync/synchronized', '/run/chrony/chronyd.pid', '/var/run/ntpd.pid'].some(
    existsSync,
  );
  const says = `the system says ${new Date().toISOString()}`;
  return isKnown
    ? good('clock', `${says}, and something keeps it right`)
    : warning(
        'clock',
        says,
        'nothing seems to keep it right (systemd-timesyncd, chrony); duties follow blocks, but logs lie',
      );
}

async function diskOf(dataDir: string): Promise<Check> {
  let folder = dataDir;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  const isWritable = await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  );
  return checkDisk(bavail * bsize, dataDir, isWritable);
}

async function deviceOf(): Promise<Check> {
  try {
    const providers = await bundledProviders();
    const found = findGpu();
    return checkDevice(providers, found, found.missing.length > 0 ? undefined : await probeGpu());
  } catch (error) {
    return problem('device', `ONNX Runtime does not load: ${errorMessage(error)}`, 'npm ci');
  }
}

function checkKeys({ options, dataDir }: Context): readonly Check[] {
  const found = listKeys(dataDir);
  const broken = found.flatMap(({ name, problem: why }) =>
    why === undefined
      ? []
      : [problem(`key ${name}`, why, 'tessera keys list; restore it from a backup if it is damaged')],
  );
  if (found.length === 0 && options['identity-path'] === undefined)
    return [problem('keys', `no keys in ${dataDir}`, 'tessera keygen')];
  const plain = found.filter(({ isEncrypted, problem: why }) => !isEncrypted && why === undefined).length;
  const held = `${found.length} keys, ${found.length - plain} of them encrypted`;
  const coldkey = found.some(({ name }) => name === 'coldkey')
    ? warning('keys', `${held}; the coldkey is on this machine`, 'move coldkey.json away: a node needs only the hotkey')
    : good('keys', held);
  return [...broken, coldkey];
}

function checkJournal(dataDir: string): Check {
  const file = join(dataDir, 'journal.sqlite');
  if (!existsSync(file)) return good('journal', 'none yet: this node has signed nothing');
  try {
    const genesis = journalGenesis(file);
    createJournal({ file, genesis }).close();
    return good('journal', `sound, written on the chain with genesis ${genesis}`);
  } catch (error) {
    if (errorCode(error) === 'JOURNAL_LOCKED') return good('journal', 'in use: the node runs');
    return problem(
      'journal',
      errorMessage(error),
      'restore it from a backup; never delete it while the node is registered',
    );
  }
}

async function checkPorts({ options }: Context): Promise<readonly Check[]> {
  const ports = options['host-maddrs'].flatMap((address) => {
    const match = /^\/(ip[46])\/([^/]+)\/tcp\/(\d+)/.exec(address);
    return match === null || match[3] === '0' ? [] : [{ address, host: match[2] ?? '', port: Number(match[3]) }];
  });
  const checks = await Promise.all(ports.map(checkPort));
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter(({ internal }) => !internal));
  const addresses = own.map(({ address }) => address);
  return [...checks, checkReach(options['host-maddrs'], options['announce-maddrs'], addresses)];
}

function checkPort({ address, host, port }: { address: string; host: string; port: number }): Promise<Check> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => {
      const isBusy = errorCode(error) === 'EADDRINUSE';
      resolve(
        isBusy
          ? warning(
              'port',
              `${address} is taken`,
              'fine if the node runs; else another program has it: choose another port',
            )
          : problem('port', `${address}: ${errorMessage(error)}`, 'an address of this machine, and a port above 1023'),
      );
    });
    server.listen(port, host, () => server.close(() => resolve(good('port', `${address} is free`))));
  });
}

async function checkChain(context: Context): Promise<readonly Check[]> {
  const { options, log, signal } = context;
  const checks: Check[] = [];
  let genesis: string | undefined;
  let chain: Chain | undefined;
  try {
    for (const endpoint of options.rpc) {
      const stop = AbortSignal.any([signal, AbortSignal.timeout(RPC_MS)]);
      try {
        const client = await connectChain({ endpoints: [endpoint] }, { log: log.child('chain') }, stop);
        const info = await client.info(stop);
        const asked = performance.now();
        const [best, finalized] = [await client.head('best', stop), await client.head('finalized', stop)];
        await client.blockHash(best.number, stop);
        const ms = performance.now() - asked;
        genesis ??= info.genesis;
        checks.push(
          checkEndpoint(
            endpoint,
            { genesis: info.genesis, best: best.number, finalized: finalized.number, ms },
            genesis,
          ),
        );
        if (chain === undefined) chain = client;
        else await client.close();
      } catch (error) {
        checks.push(problem(`rpc ${endpoint}`, errorMessage(error), 'is it running, and the address right?'));
      }
    }
    return chain === undefined ? checks : [...checks, ...(await checkStanding(context, chain))];
  } finally {
    await chain?.close();
  }
}

async function checkStanding({ options, dataDir, signal }: Context, chain: Chain): Promise<readonly Check[]> {
  const subnet = await chain.subnet(options['subnet-id'] as SubnetId, undefined, signal);
  if (subnet === undefined)
    return [problem('subnet', `there is no subnet ${options['subnet-id']}`, 'name another with --subnet-id')];
  const known = listKeys(dataDir).find(({ name }) => name === 'hotkey')?.file;
  const named = options.hotkey ?? known;
  if (named === undefined)
    return [warning('registration', 'no hotkey is named, so it was not looked at', 'tessera doctor --hotkey FILE')];
  const hotkey = await addressOption('hotkey', named);
  const [{ free }, node, info, head, past] = await Promise.all([
    chain.account(hotkey, signal),
    chain.nodeByHotkey(subnet.id, hotkey, undefined, signal),
    chain.info(signal),
    chain.head('best', signal),
    chain.previousResults(subnet.id, SHOWN_EPOCHS, signal),
  ]);
  const file = identityFile(options['identity-path'], dataDir);
  const peer = existsSync(file) ? readIdentityPeer(file).peer : undefined;
  const here = peer === undefined ? undefined : await chain.nodeByPeerId(subnet.id, peer, undefined, signal);
  const epoch = phaseAt(head.number, { slot: subnet.slot, epochLength: info.epochLength })?.epoch ?? (0 as Epoch);
  const standing = [checkBalance('hotkey', free), checkRegistration(node, subnet, epoch, here), checkEpochs(past)];
  return node === undefined || peer === undefined ? standing : [...standing, checkIdentity(peer, node)];
}
