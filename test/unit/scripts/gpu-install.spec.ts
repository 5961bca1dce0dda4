// `npm run gpu:install` against a package index of this process with small wheels: what comes is taken whole and right, or not at all.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { RUNTIME_VERSION, WHEELS, type Wheel } from '../../../scripts/gpu/packages.ts';
import { checkProvider, installProvider, removeProvider } from '../../../scripts/gpu/provider.ts';
import { openSource } from '../../../scripts/gpu/source.ts';
import { GPU_FILES, runtimePackage } from '../../../src/cli/gpu.ts';

type Content = Readonly<Record<string, Buffer>>;
type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

const never = new AbortController().signal;
const hex = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const ROOMY = async () => 2 ** 40;

/** Bytes that hardly pack, the same for a seed. */
function noise(seed: string, bytes: number): Buffer {
  const parts = Array.from({ length: Math.ceil(bytes / 32) }, (_, i) =>
    createHash('sha256').update(`${seed} ${i}`).digest(),
  );
  return Buffer.concat(parts).subarray(0, bytes);
}

/** A zip archive; every second file is stored as it is. */
function zip(files: Content): Buffer {
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [i, [name, content]] of Object.entries(files).entries()) {
    const packed = i % 2 === 0 ? deflateRawSync(content) : content;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(i % 2 === 0 ? 8 : 0, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const central = Buffer.alloc(16);
    central.writeUInt32LE(offset, 12);
    locals.push(Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed);
    centrals.push(
      Buffer.from('PK\x01\x02\x14\x00'),
      fields,
      central.subarray(0, 0),
      central.subarray(2),
      Buffer.from(name),
    );
    offset += 30 + Buffer.byteLength(name) + packed.length;
  }
  const list = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x0605_4b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, list, end]);
}

const RUNTIME = { 'nvidia/lib/libone.so': noise('one', 50_000), 'nvidia/lib/libtwo.so': Buffer.alloc(90_000, 'two') };
const PROVIDER = { 'ort/capi/libprovider.so': noise('provider', 120_000), '../../evil.so': Buffer.from('evil') };
const FILES = { 'runtime-1.0-any.whl': zip(RUNTIME), 'ort_gpu-2.0-any.whl': zip(PROVIDER) };

function wheel(file: keyof typeof FILES, content: Content, paths: readonly string[]): Wheel {
  const members = paths.map((path) => {
    const bytes = content[path] ?? Buffer.alloc(0);
    return { path, name: path.split('/').at(-1) ?? '', bytes: bytes.length, sha256: hex(bytes) };
  });
  const [name = '', version = ''] = file.split('-');
  return { name: name.replace('_', '-'), version, file, bytes: FILES[file].length, sha256: hex(FILES[file]), members };
}

const TABLE = [
  wheel('runtime-1.0-any.whl', RUNTIME, Object.keys(RUNTIME)),
  wheel('ort_gpu-2.0-any.whl', PROVIDER, ['ort/capi/libprovider.so']),
] as const;
const NAMES = ['libone.so', 'libprovider.so', 'libtwo.so'];

/** The first wheel told otherwise. */
const table = (change: (first: Wheel) => Wheel): readonly Wheel[] => [change(TABLE[0]), TABLE[1]];

describe('npm run gpu:install', () => {
  let server: Server;
  let base: string;
  let folder: string;
  let libraries: string;
  let asked: { readonly path: string; readonly range: string | undefined }[];
  let answer: Answer;
  let index: 'json' | 'html' | 'none';
  let onProgress: (doneBytes: number) => void;

  /** All of it, or the rest that is asked for. */
  const serve: Answer = (request, response, body) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from > 0) response.writeHead(206, { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` });
    response.end(body.subarray(from));
  };
  /** Breaks off the first wheel once `bytes` of what is asked for are on the client's disk. */
  const cut =
    (bytes: number): Answer =>
    (request, response, body) => {
      if (!request.url?.includes('runtime')) return serve(request, response, body);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const head = { 'content-length': body.length - from };
      const range = { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` };
      response.writeHead(from > 0 ? 206 : 200, from > 0 ? { ...head, ...range } : head);
      if (bytes === 0) return void response.destroy();
      response.write(body.subarray(from, from + bytes));
      onProgress = (done) => {
        if (done >= Math.min(from + bytes, body.length)) response.destroy();
      };
    };

  before(async () => {
    server = createServer((request, response) => {
      const path = request.url ?? '';
      asked.push({ path, range: request.headers.range });
      const file = path.split('/').at(-1) ?? '';
      if (file in FILES && (index === 'none' || path.startsWith('/files/')))
        return answer(request, response, FILES[file as keyof typeof FILES]);
      const found = TABLE.find(({ name }) => path === `/simple/${name}/`);
      if (found === undefined || index === 'none') return void response.writeHead(404).end();
      if (index === 'html')
        return void response
          .setHeader('content-type', 'text/html')
          .end(`<a href="../../files/${found.file}#sha256=0&amp;">x</a>`);
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
      response.end(JSON.stringify({ files: [{ filename: found.file, url: `/files/${found.file}`, size: 1 }] }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    [asked, answer, index, onProgress] = [[], serve, 'json', () => undefined];
    folder = mkdtempSync(join(tmpdir(), 'gpu-install-'));
    libraries = join(folder, 'bin');
    mkdirSync(libraries);
    writeFileSync(join(folder, 'package.json'), '{"version":"9.9.9"}');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const install = (
    changed: { wheels?: readonly Wheel[]; platform?: string; version?: string; from?: string; free?: number } = {},
    signal = never,
  ) =>
    installProvider(
      {
        root: folder,
        libraries,
        platform: changed.platform ?? 'linux-x64',
        version: changed.version ?? '9.9.9',
        wheels: changed.wheels ?? TABLE,
      },
      {
        source: openSource(changed.from ?? base, 0),
        freeBytes: async () => changed.free ?? ROOMY(),
        onProgress: (done) => onProgress(done),
      },
      signal,
    );
  const there = () => readdirSync(libraries).sort();
  const ranges = (file: string) => asked.filter(({ path }) => path === `/files/${file}`).map(({ range }) => range);
  const expectRight = () => {
    assert.deepEqual(there(), NAMES);
    assert.deepEqual(readFileSync(join(libraries, 'libone.so')), RUNTIME['nvidia/lib/libone.so']);
    assert.deepEqual(readFileSync(join(libraries, 'libtwo.so')), RUNTIME['nvidia/lib/libtwo.so']);
    assert.deepEqual(readFileSync(join(libraries, 'libprovider.so')), PROVIDER['ort/capi/libprovider.so']);
    assert.deepEqual(readdirSync(folder).sort(), ['bin', 'package.json'], 'nothing outside');
  };

  for (const kind of ['json', 'html', 'none'] as const)
    it(`takes what the table names, and no more, from a server with an index: ${kind}`, async () => {
      index = kind;
      assert.equal(await install(), 3);
      expectRight();
    });

  it('takes wheels of a folder, and leaves them there', async () => {
    const wheels = mkdtempSync(join(tmpdir(), 'gpu-wheels-'));
    try {
      for (const [name, bytes] of Object.entries(FILES)) writeFileSync(join(wheels, name), bytes);
      assert.equal(await install({ from: wheels }), 3);
      expectRight();
      assert.deepEqual(readdirSync(wheels).sort(), Object.keys(FILES).sort());
      assert.deepEqual(asked, []);
      rmSync(join(libraries, 'libtwo.so'));
      writeFileSync(join(wheels, 'runtime-1.0-any.whl'), 'other');
      await assert.rejects(install({ from: wheels }), /is not the file that was published: 5 bytes; expected \d+/);
      assert.ok(readdirSync(wheels).includes('runtime-1.0-any.whl'));
      rmSync(join(wheels, 'runtime-1.0-any.whl'));
      await assert.rejects(install({ from: wheels }), /has no runtime-1\.0-any\.whl/);
    } finally {
      rmSync(wheels, { recursive: true, force: true });
    }
  });

  it('asks for what is missing or other alone', async () => {
    await install();
    asked = [];
    assert.equal(await install(), 0);
    assert.deepEqual(asked, []);
    writeFileSync(join(libraries, 'libtwo.so'), Buffer.alloc(90_000, 'owt'));
    const states = await checkProvider(libraries, TABLE, never);
    assert.deepEqual(Object.fromEntries(states.map(({ member, is }) => [member.name, is])), {
      'libone.so': 'right',
      'libtwo.so': 'other',
      'libprovider.so': 'right',
    });
    assert.equal(await install(), 1);
    assert.deepEqual(ranges('ort_gpu-2.0-any.whl'), []);
    expectRight();
  });

  const refusals: readonly (readonly [string, () => readonly Wheel[], RegExp])[] = [
    [
      'another wheel',
      () => table((first) => ({ ...first, sha256: '0'.repeat(64) })),
      /is not the file .* hash [0-9a-f]{64}; expected/,
    ],
    ['a longer wheel', () => table((first) => ({ ...first, bytes: first.bytes - 1 })), /is longer than \d+ bytes/],
    [
      'a wheel without the member',
      () => table((first) => ({ ...first, members: first.members.map((one) => ({ ...one, path: 'nowhere' })) })),
      /there is no nowhere in it/,
    ],
    [
      'another member',
      () => table((first) => ({ ...first, members: first.members.map((one) => ({ ...one, sha256: '0'.repeat(64) })) })),
      /has 50000 bytes and hash [0-9a-f]{64}, not 50000 and 0000/,
    ],
    [
      'a member that unpacks to more',
      () => table((first) => ({ ...first, members: first.members.map((one) => ({ ...one, bytes: 100 })) })),
      /is longer than 100 bytes/,
    ],
    [
      'a file that the index lacks',
      () => table((first) => ({ ...first, file: 'runtime-3.whl' })),
      /knows runtime, and not runtime-3\.whl/,
    ],
  ];
  for (const [name, wheels, message] of refusals)
    it(`refuses ${name}, and leaves nothing beside the runtime`, async () => {
      await assert.rejects(install({ wheels: wheels() }), message);
      assert.deepEqual(
        there().filter((file) => file !== '.gpu-install'),
        [],
      );
      const left = there().length === 0 ? [] : readdirSync(join(libraries, '.gpu-install'));
      assert.deepEqual(
        left.filter((file) => file.endsWith('.part')),
        [],
      );
      assert.equal(await install(), 3, 'and goes on to the right ones');
      expectRight();
    });

  const whole = FILES['runtime-1.0-any.whl'];
  const withEnd = (end: string) => Buffer.concat([whole.subarray(0, -end.length), Buffer.from(end, 'latin1')]);
  for (const [name, content, message] of [
    ['no archive', noise('none', 3000), /is no zip archive/],
    ['an archive that is cut off', whole.subarray(0, -400), /is no zip archive, or cut off/],
    [
      'an archive without its beginning',
      Buffer.concat([noise('x', 99), whole.subarray(99)]),
      /libone\.so has no header/,
    ],
    ['a list of files behind the end', withEnd('\xff\xff\xff\x7f\0\0'), /list of files makes no sense/],
    ['a list of files of 2 GB', withEnd('\xff\xff\xff\x7f\0\0\0\0\0\0'), /list of files makes no sense/],
    ['a list of files that is none', withEnd('\0\0\0\0\0\0'), /list of files is broken/],
  ] as const)
    it(`refuses ${name}`, async () => {
      const wheels = mkdtempSync(join(tmpdir(), 'gpu-wheels-'));
      try {
        writeFileSync(join(wheels, 'runtime-1.0-any.whl'), content);
        const told = table((first) => ({ ...first, bytes: content.length, sha256: hex(content) }));
        await assert.rejects(install({ from: wheels, wheels: told }), message);
      } finally {
        rmSync(wheels, { recursive: true, force: true });
      }
    });

  it('goes on where a connection broke off, as long as bytes come', async () => {
    answer = cut(30_000);
    assert.equal(await install(), 3);
    expectRight();
    const pieces = Math.ceil(FILES['runtime-1.0-any.whl'].length / 30_000);
    const expected = Array.from({ length: pieces }, (_, i) => (i === 0 ? undefined : `bytes=${i * 30_000}-`));
    assert.deepEqual(ranges('runtime-1.0-any.whl'), expected);
  });

  it('gives up when none come, says how far it is, and goes on there the next time', async () => {
    answer = (request, response, body) =>
      (request.headers.range === undefined ? cut(20_000) : cut(0))(request, response, body);
    await assert.rejects(install(), /runtime-1\.0-any\.whl broke off at 20000 of \d+ bytes .*call again to go on/);
    assert.deepEqual(there(), ['.gpu-install']);
    [asked, answer] = [[], serve];
    assert.equal(await install(), 3);
    assert.deepEqual(ranges('runtime-1.0-any.whl'), ['bytes=20000-']);
    expectRight();
  });

  for (const [name, rest] of [
    ['serves files whole alone', (_, response, body) => response.end(body)],
    [
      'knows no such rest',
      (request, response, body) => (request.headers.range ? response.writeHead(416).end() : response.end(body)),
    ],
    [
      'answers another rest',
      (request, response, body) => {
        if (request.headers.range)
          response.writeHead(206, { 'content-range': `bytes 1-9/${body.length}` }).end('x'.repeat(9));
        else response.end(body);
      },
    ],
    ['goes on behind what is other', serve],
  ] as readonly (readonly [string, Answer])[])
    it(`starts anew when the server ${name}`, async () => {
      mkdirSync(join(libraries, '.gpu-install'));
      writeFileSync(join(libraries, '.gpu-install', 'runtime-1.0-any.whl.part'), noise('other', 7000));
      answer = rest;
      assert.equal(await install(), 3);
      expectRight();
      assert.equal(ranges('runtime-1.0-any.whl')[0], 'bytes=7000-');
    });

  it('keeps what was unpacked when a later wheel fails', async () => {
    answer = (request, response, body) => {
      if (request.url?.includes('ort_gpu')) response.writeHead(403).end();
      else serve(request, response, body);
    };
    await assert.rejects(install(), /status 403 for ort_gpu-2\.0-any\.whl/);
    assert.deepEqual(there(), ['.gpu-install']);
    [asked, answer] = [[], serve];
    assert.equal(await install(), 3);
    assert.deepEqual(ranges('runtime-1.0-any.whl'), []);
    expectRight();
  });

  it('stops when it is told, with nothing beside the runtime', async () => {
    const stop = new AbortController();
    answer = (_, response, body) => {
      response.writeHead(200, { 'content-length': body.length });
      response.write(body.subarray(0, 100));
    };
    onProgress = () => stop.abort(new Error('stopped'));
    await assert.rejects(install({}, stop.signal), /stopped/);
    assert.deepEqual(there(), ['.gpu-install']);
  });

  it('refuses without room before it asks for anything', async () => {
    const needed = 50_000 + 90_000 + 120_000 + Math.max(...TABLE.map(({ bytes }) => bytes)) + (64 << 20);
    await assert.rejects(
      install({ free: needed - 1 }),
      new RegExp(`${needed} bytes are needed, ${needed - 1} are free`),
    );
    assert.deepEqual(asked, []);
    assert.deepEqual(there(), []);
    assert.equal(await install({ free: needed }), 3);
  });

  it('refuses other platforms, another runtime, and what is no place', async () => {
    await assert.rejects(install({ platform: 'darwin-arm64' }), /on linux-x64 alone, and this is darwin-arm64/);
    await assert.rejects(install({ version: '9.9.8' }), /is onnxruntime-node 9\.9\.9, .* fits 9\.9\.8/);
    assert.throws(() => openSource(join(folder, 'nowhere')), /neither a folder nor a URL/);
    assert.deepEqual(there(), []);
  });

  it('takes all of it away again, and nothing else', async () => {
    writeFileSync(join(libraries, 'libonnxruntime.so.1'), 'runtime');
    await install();
    assert.equal(await removeProvider(libraries, TABLE), 3);
    assert.deepEqual(there(), ['libonnxruntime.so.1']);
    assert.equal(await removeProvider(libraries, TABLE), 0);
  });
});

describe('the table of gpu:install', () => {
  const members = WHEELS.flatMap((one) => one.members);

  it('fits the runtime that this program has', () => {
    const { version } = JSON.parse(readFileSync(join(runtimePackage(), 'package.json'), 'utf8')) as { version: string };
    assert.equal(RUNTIME_VERSION, version);
    assert.ok(WHEELS.some((one) => one.name === 'onnxruntime-gpu' && one.version === version));
  });

  it('names what doctor looks for, in the order in which it is moved', () => {
    assert.deepEqual(
      members.map(({ name }) => name),
      [...GPU_FILES],
    );
  });

  it('has whole hashes and sizes, and names without folders', () => {
    for (const { sha256, bytes } of [...WHEELS, ...members]) {
      assert.match(sha256, /^[0-9a-f]{64}$/);
      assert.ok(bytes > 10_000);
    }
    for (const name of [...WHEELS.map(({ file }) => file), ...members.map((one) => one.name)])
      assert.match(name, /^[\w.-]+$/);
  });
});
