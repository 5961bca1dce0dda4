// The verdicts of `tessera doctor` as functions of what was found: each says in plain words how things stand and what to do.

import type { PastResult, Subnet, SubnetNode } from '../chain/types.ts';
import { type Epoch, ONE } from '../types/ids.ts';
import { driverFits, type GpuFound, type GpuProbe, MIN_DRIVER } from './gpu.ts';
import { formatShare, formatTensor } from './io.ts';

export interface Check {
  readonly check: string;
  readonly verdict: 'good' | 'warning' | 'problem';
  readonly says: string;
  readonly todo?: string;
}

export const good = (check: string, says: string): Check => ({ check, verdict: 'good', says });
export const warning = (check: string, says: string, todo: string): Check => ({
  check,
  verdict: 'warning',
  says,
  todo,
});
export const problem = (check: string, says: string, todo: string): Check => ({
  check,
  verdict: 'problem',
  says,
  todo,
});

const GIB = 2 ** 30;
const MIN_NODE = 24;
/** Enough for hundreds of duties, which cost nothing when they succeed. */
export const MIN_HOTKEY_BALANCE = ONE / 1000n;
const MAX_FINALITY_LAG = 20;
const SLOW_ANSWER_MS = 1_000;

export function checkVersion(nodeVersion: string, platform: string, version: string): Check {
  const major = Number.parseInt(nodeVersion.replace(/^v/, ''), 10);
  const says = `Tessera ${version} on Node ${nodeVersion}, ${platform}`;
  if (major < MIN_NODE) return problem('versions', says, `install Node ${MIN_NODE} or newer`);
  return platform.startsWith('linux')
    ? good('versions', says)
    : warning('versions', says, 'nobody has tested this platform yet: report what does not work');
}

export function checkDisk(freeBytes: number, folder: string, isWritable = true): Check {
  const says = `${(freeBytes / GIB).toFixed(1)} GiB free for ${folder}`;
  if (!isWritable)
    return problem(
      'disk',
      `${folder} cannot be written to`,
      'give it to the user that runs the node, or name another --data-dir',
    );
  if (freeBytes < GIB) return problem('disk', says, 'make room: a full disk stops the journal, and with it every duty');
  return freeBytes < 5 * GIB ? warning('disk', says, 'models may need more: make room in time') : good('disk', says);
}

/**
 * @param providers what the runtime says of itself; it never says whether CUDA can be used
 * @param probe undefined where files are missing: nothing to ask
 */
export function checkDevice(
  providers: readonly string[],
  { platform, driver, missing }: GpuFound,
  probe: GpuProbe | undefined,
): Check {
  const says = `ONNX Runtime has ${providers.join(', ')}`;
  const gpu = `NVIDIA's driver ${driver} is here`;
  if (driver === undefined && missing.length > 0) return good('device', says);
  if (platform !== 'linux-x64') return good('device', `${says}; ${gpu}, and GPUs are used on linux-x64 alone`);
  if (driver !== undefined && !driverFits(driver))
    return warning('device', `${says}; ${gpu}, too old for CUDA 13`, `install driver ${MIN_DRIVER} or newer`);
  if (missing.length > 0 || probe === undefined) {
    const what = missing.length === 1 ? missing[0] : `${missing.length} files such as ${missing[0]}`;
    return warning('device', `${says}; ${gpu}, and its GPU would stay idle: ${what} not there`, 'npm run gpu:install');
  }
  if ('name' in probe)
    return good('device', `${says}; ${probe.name} with ${(probe.freeBytes / GIB).toFixed(1)} GiB free`);
  if (driver === undefined && probe.error.includes('libcuda.so'))
    return warning(
      'device',
      `${says} and what CUDA needs, and there is no NVIDIA driver (${probe.error})`,
      `install NVIDIA's driver, ${MIN_DRIVER} or newer; a container must be given the GPU (docker run --gpus all)`,
    );
  return warning(
    'device',
    `${says} and what CUDA needs, and CUDA does not work: ${probe.error}`,
    'nvidia-smi must list a GPU; a container must be given it (docker run --gpus all)',
  );
}

export function checkEndpoint(
  endpoint: string,
  found: { readonly genesis: string; readonly best: number; readonly finalized: number; readonly ms: number },
  genesis: string,
): Check {
  const name = `rpc ${endpoint}`;
  if (found.genesis !== genesis)
    return problem(name, `serves another chain than the first endpoint (genesis ${found.genesis})`, 'correct --rpc');
  const says = `block ${found.best}, finalized ${found.finalized}, answers in ${Math.round(found.ms)} ms`;
  if (found.best - found.finalized > MAX_FINALITY_LAG)
    return problem(
      name,
      says,
      'finality is behind: duties wait for finalized blocks; ask the operator of the endpoint',
    );
  return found.ms > SLOW_ANSWER_MS
    ? warning(name, says, 'slow: use an endpoint that is nearer, or run one')
    : good(name, says);
}

export function checkBalance(who: 'hotkey', free: bigint): Check {
  const says = `${who} has ${formatTensor(free, 6)} TENSOR`;
  return free >= MIN_HOTKEY_BALANCE
    ? good('balance', says)
    : problem('balance', says, 'send the hotkey 0.01 TENSOR: the chain takes no transaction of an empty account');
}

/**
 * @param epoch the subnet's epoch now
 * @param here the node that has the peer of this machine
 */
export function checkRegistration(
  node: SubnetNode | undefined,
  subnet: Subnet,
  epoch: Epoch,
  here?: SubnetNode,
): Check {
  const name = 'registration';
  if (node === undefined && here !== undefined)
    return problem(
      name,
      `the hotkey has no node in subnet ${subnet.id}, but the peer of this machine is node ${here.id}, with the hotkey ${here.hotkey}`,
      'name that key with --hotkey, or have its owner type tessera update-hotkey',
    );
  if (node === undefined)
    return problem(name, `the hotkey has no node in subnet ${subnet.id}`, 'tessera register-subnet-node');
  const says = `node ${node.id}, class ${node.nodeClass}, ${formatTensor(node.stake)} TENSOR of stake, reputation ${formatShare(node.reputation)}`;
  if (node.nodeClass === 'Registered') return checkActivation(node, subnet, epoch, says);
  if (node.stake < subnet.minStake)
    return problem(name, says, `the stake is below the minimum of ${formatTensor(subnet.minStake)}: tessera stake add`);
  if (node.reputation < ONE / 2n)
    return warning(name, says, 'a node below 10 % is removed: tessera scores says what it missed');
  return good(name, says);
}

function checkActivation(node: SubnetNode, subnet: Subnet, epoch: Epoch, says: string): Check {
  const { activationGraceEpochs: grace } = subnet;
  if (grace === undefined)
    return problem('registration', says, `it activates by itself, not before subnet epoch ${node.startEpoch}: wait`);
  const last = node.startEpoch + grace;
  if (subnet.state === 'Active' && epoch > last)
    return problem('registration', says, `expired in epoch ${last}: tessera clean-expired, then register again`);
  return problem('registration', says, `tessera activate --wait, up to subnet epoch ${last}`);
}

/** Fewer say nothing yet: the first live epoch has nothing to score. */
const MIN_PAST_EPOCHS = 3;

/** @param past how the last epochs of the subnet ended */
export function checkEpochs(past: readonly Pick<PastResult, 'outcome'>[]): Check {
  const name = 'epochs';
  if (past.length === 0) return good(name, 'none of the subnet has ended yet');
  const outcomes = ['Accepted', 'Empty', 'Rejected', 'Absent'] as const;
  const counts = outcomes.map((outcome) => [outcome, past.filter((one) => one.outcome === outcome).length] as const);
  const words = counts.filter(([, count]) => count > 0).map(([outcome, count]) => `${count} ${outcome.toLowerCase()}`);
  const says = `of the last ${past.length} of the subnet: ${words.join(', ')}`;
  return past.length < MIN_PAST_EPOCHS || past.some(({ outcome }) => outcome === 'Accepted')
    ? good(name, says)
    : warning(
        name,
        says,
        'nobody is paid while none is accepted: tessera epochs, and tessera scores --epoch N says why',
      );
}

export function checkIdentity(peer: string, node: SubnetNode): Check {
  return node.peerInfo.peer === peer
    ? good('identity', `peer ${peer} is the one registered`)
    : problem(
        'identity',
        `peer ${peer} is here, ${node.peerInfo.peer} is registered`,
        'name the right file with --identity-path, or tell the chain: tessera update-peer',
      );
}

/** @param interfaces addresses of this machine */
export function checkReach(
  listen: readonly string[],
  announce: readonly string[],
  interfaces: readonly string[],
): Check {
  if (announce.length > 0) return good('reach', `others are told to dial ${announce.join(' ')}`);
  if (listen.every((address) => /^\/ip[46]\/(127\.|::1)/.test(address)))
    return warning(
      'reach',
      `listens on ${listen.join(' ')}: only this machine can reach it`,
      'for a network beyond it: --host-maddrs /ip4/0.0.0.0/tcp/31330 and --announce-maddrs with the public address',
    );
  const isPublic = interfaces.some((address) => !isPrivateAddress(address));
  return isPublic
    ? good('reach', 'this machine has a public address')
    : warning(
        'reach',
        `this machine has private addresses only (${interfaces.join(' ')}): it is behind a router (NAT)`,
        'forward the port on the router, and tell others: --announce-maddrs /ip4/<public address>/tcp/<port>',
      );
}

function isPrivateAddress(address: string): boolean {
  return /^(10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cde][0-9a-f]{2}:)/.test(address);
}
