import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcome, Subnet, SubnetNode } from '../../../src/chain/types.ts';
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
} from '../../../src/cli/checks.ts';
import {
  driverFits,
  findGpu,
  GPU_FILES,
  type GpuFound,
  type GpuProbe,
  libraryFolder,
  readDriverVersion,
} from '../../../src/cli/gpu.ts';
import { type Address, type Epoch, ONE } from '../../../src/types/ids.ts';

const SUBNET = { id: 1, state: 'Active', minStake: 100n * ONE, activationGraceEpochs: 4 } as unknown as Subnet;
const NODE = {
  id: 3,
  nodeClass: 'Validator',
  startEpoch: 10,
  stake: 100n * ONE,
  reputation: ONE,
  peerInfo: { peer: '12D3A' },
} as unknown as SubnetNode;
const GENESIS = '0x11';
const ENDPOINT = { genesis: GENESIS, best: 100, finalized: 98, ms: 5 };

const GPU = { name: 'NVIDIA H100', freeBytes: 79 * 2 ** 30 };
const device = (found: Partial<GpuFound>, probe: GpuProbe | undefined = GPU) =>
  checkDevice(['cpu'], { platform: 'linux-x64', driver: '580.65.06', missing: [], ...found }, probe);

const ended = (outcome: string) => ({ outcome: outcome as Outcome });

describe('doctor', () => {
  const cases: readonly (readonly [string, Check, Check['verdict'], RegExp])[] = [
    ['a new Node', checkVersion('v24.1.0', 'linux-x64', '1'), 'good', /Node v24/],
    ['an old Node', checkVersion('v20.1.0', 'linux-x64', '1'), 'problem', /install Node 24/],
    ['another platform', checkVersion('v24.1.0', 'darwin-arm64', '1'), 'warning', /tested/],
    ['a full disk', checkDisk(2 ** 20, '/x'), 'problem', /journal/],
    ['a small disk', checkDisk(2 * 2 ** 30, '/x'), 'warning', /room/],
    ['a disk that is only read', checkDisk(2 ** 40, '/x', false), 'problem', /--data-dir/],
    ['a large disk', checkDisk(2 ** 40, '/x'), 'good', /1024\.0 GiB/],
    ['no GPU', device({ driver: undefined, missing: GPU_FILES }), 'good', /has cpu(?!;)/],
    ['a GPU with all it needs', device({}), 'good', /NVIDIA H100 with 79\.0 GiB free/],
    ['a GPU behind a driver without a file', device({ driver: undefined }), 'good', /NVIDIA H100/],
    [
      'a GPU that fails',
      device({}, { error: 'CUDA error 100: no device' }),
      'warning',
      /error 100: no device.*nvidia-smi/,
    ],
    [
      'a GPU that stays idle',
      device({ missing: GPU_FILES }),
      'warning',
      /8 files such as libcudart.*npm run gpu:install/,
    ],
    ['one file too few', device({ missing: ['libcublas.so.13'] }), 'warning', /idle: libcublas\.so\.13 not there/],
    ['an old driver', device({ driver: '535.183.01' }), 'warning', /535\.183\.01 .*install driver 580 or newer/],
    [
      'a provider without a driver',
      device({ driver: undefined }, { error: 'libcuda.so.1 cannot be loaded' }),
      'warning',
      /no NVIDIA driver \(libcuda\.so\.1.*--gpus all/,
    ],
    ['a GPU elsewhere', device({ platform: 'linux-arm64', missing: GPU_FILES }), 'good', /linux-x64 alone/],
    ['an endpoint', checkEndpoint('ws://a', ENDPOINT, GENESIS), 'good', /block 100/],
    ['another chain', checkEndpoint('ws://a', { ...ENDPOINT, genesis: '0x2' }, GENESIS), 'problem', /another chain/],
    ['late finality', checkEndpoint('ws://a', { ...ENDPOINT, finalized: 79 }, GENESIS), 'problem', /finality/],
    ['a slow endpoint', checkEndpoint('ws://a', { ...ENDPOINT, ms: 1500 }, GENESIS), 'warning', /slow/],
    ['an empty hotkey', checkBalance('hotkey', 0n), 'problem', /0\.01 TENSOR/],
    ['a funded hotkey', checkBalance('hotkey', ONE / 100n), 'good', /0\.01/],
    ['no node', checkRegistration(undefined, SUBNET, 12 as Epoch), 'problem', /register-subnet-node/],
    [
      'a node with another hotkey',
      checkRegistration(undefined, SUBNET, 12 as Epoch, { ...NODE, hotkey: '0xab' as Address }),
      'problem',
      /update-hotkey/,
    ],
    ['a validator', checkRegistration(NODE, SUBNET, 12 as Epoch), 'good', /Validator/],
    ['a low stake', checkRegistration({ ...NODE, stake: ONE }, SUBNET, 12 as Epoch), 'problem', /stake add/],
    ['a bad name', checkRegistration({ ...NODE, reputation: ONE / 4n }, SUBNET, 12 as Epoch), 'warning', /10 %/],
    [
      'a node to activate',
      checkRegistration({ ...NODE, nodeClass: 'Registered' }, SUBNET, 14 as Epoch),
      'problem',
      /activate --wait, up to subnet epoch 14/,
    ],
    [
      'a registration that expired',
      checkRegistration({ ...NODE, nodeClass: 'Registered' }, SUBNET, 15 as Epoch),
      'problem',
      /expired in epoch 14/,
    ],
    ['no epochs', checkEpochs([]), 'good', /none/],
    ['epochs', checkEpochs(['Absent', 'Accepted', 'Accepted'].map(ended)), 'good', /last 3.*: 2 accepted, 1 absent/],
    ['a subnet that begins', checkEpochs(['Absent', 'Empty'].map(ended)), 'good', /1 empty, 1 absent/],
    ['a subnet that agrees on nothing', checkEpochs(['Absent', 'Rejected', 'Empty'].map(ended)), 'warning', /scores/],
    ['the right identity', checkIdentity('12D3A', NODE), 'good', /registered/],
    ['another identity', checkIdentity('12D3B', NODE), 'problem', /--identity-path/],
    ['loopback', checkReach(['/ip4/127.0.0.1/tcp/1'], [], ['10.0.0.2']), 'warning', /only this machine/],
    ['a router', checkReach(['/ip4/0.0.0.0/tcp/1'], [], ['192.168.1.2']), 'warning', /NAT/],
    ['a public address', checkReach(['/ip4/0.0.0.0/tcp/1'], [], ['10.0.0.2', '203.0.113.7']), 'good', /public/],
    ['an announced address', checkReach(['/ip4/0.0.0.0/tcp/1'], ['/ip4/203.0.113.7/tcp/1'], []), 'good', /dial/],
  ];
  for (const [name, check, verdict, words] of cases) {
    it(`${name}: ${verdict}`, () => {
      assert.equal(check.verdict, verdict);
      assert.match(`${check.says} ${check.todo ?? ''}`, words);
      assert.equal(check.todo === undefined, verdict === 'good', 'whoever is warned is told what to do');
    });
  }
});

describe("NVIDIA's driver", () => {
  for (const [text, version, fits] of [
    ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:06:24 UTC 2025', '580.65.06', true],
    ['NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (x)', '575.57.08', false],
    ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  1000.1  Mon', '1000.1', true],
    ['something else', 'unknown', true],
  ] as const)
    it(`is ${version}, which ${fits ? 'fits' : 'is too old'}`, () => {
      assert.equal(readDriverVersion(text), version);
      assert.equal(driverFits(version), fits);
    });
});

describe('what a GPU needs', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'gpu-found-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('is looked for beside the runtime, the driver where its module tells it', () => {
    const driverFile = join(folder, 'version');
    assert.deepEqual(findGpu(folder, driverFile), {
      platform: `${process.platform}-${process.arch}`,
      driver: undefined,
      missing: [...GPU_FILES],
    });
    mkdirSync(libraryFolder(folder), { recursive: true });
    for (const name of GPU_FILES.slice(1)) writeFileSync(join(libraryFolder(folder), name), '');
    writeFileSync(
      driverFile,
      'NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:06:24 UTC 2025',
    );
    const { driver, missing } = findGpu(folder, driverFile);
    assert.equal(driver, '580.65.06');
    assert.deepEqual(missing, ['libcudart.so.13']);
  });
});
