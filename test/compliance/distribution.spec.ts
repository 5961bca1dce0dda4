// Models come whole from peers and web servers, whatever some of those send, and go on where a killed process left off.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHUNK_BYTES } from '../../src/distribution/chunks.ts';
import { fetchDraft } from '../../src/distribution/draft.ts';
import { type FetchProgress, fetchModel } from '../../src/distribution/fetch.ts';
import { seedModel } from '../../src/distribution/seed.ts';
import { peerSource, type Source, webSource } from '../../src/distribution/source.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../src/p2p/memory.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import type { PeerId } from '../../src/types/ids.ts';
import { peerFromPublicKey } from '../../src/types/peer-id.ts';
import { silentLog } from '../../src/util/log.ts';
import { type ModelFolder, writeModelFolder } from '../support/model-folder.ts';

/** Large: six pieces, the last one short. */
const LARGE = 'block-0.f16';
const LARGE_BYTES = 5 * CHUNK_BYTES + 123;
const everything = () => true;

describe('distribution of models', () => {
  let root: string;
  let network: MemoryNetwork;
  let joined = 0;
  let model: ModelFolder;

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'tessera-distribution-'));
    model = writeModelFolder(join(root, 'model'), { [LARGE]: LARGE_BYTES });
  });
  after(() => rmSync(root, { recursive: true }));
  beforeEach(() => {
    network = createMemoryNetwork();
    joined = 0;
  });

  function enterTwin(): Overlay {
    joined += 1;
    return network.join(peerFromPublicKey(new Uint8Array(32).fill(joined)));
  }

  let folders = 0;
  const emptyFolder = (): string => {
    folders += 1;
    return join(root, `fetched-${folders}`);
  };

  /** A copy of the model whose large file differs in so many pieces, from the first on. */
  function damagedCopy(name: string, pieces: number): ModelFolder {
    const copy = writeModelFolder(join(root, name), { [LARGE]: LARGE_BYTES });
    const bytes = readFileSync(copy.path(LARGE));
    for (let i = 0; i < pieces; i += 1) bytes[i * CHUNK_BYTES + 7] = (bytes[i * CHUNK_BYTES + 7] ?? 0) ^ 1;
    writeFileSync(copy.path(LARGE), bytes);
    return copy;
  }

  async function seeder(of: ModelFolder = model, has: (file: string) => boolean = everything): Promise<Overlay> {
    const overlay = enterTwin();
    await seedModel({ model: of, has }, { overlay, log: silentLog });
    return overlay;
  }

  async function fetchFrom(sources: readonly Source[], folder = emptyFolder(), signal = AbortSignal.timeout(30_000)) {
    const progress: FetchProgress[] = [];
    await fetchModel(
      { manifest: model.hash, folder },
      { sources: async () => sources, onProgress: (step) => progress.push(step), log: silentLog },
      signal,
    );
    return { folder, progress };
  }

  function assertWhole(folder: string): void {
    for (const name of [...Object.keys(model.manifest.files), 'manifest.json'])
      assert.ok(readFileSync(join(folder, name)).equals(readFileSync(model.path(name))), name);
  }

  it('takes pieces from several peers at once', async () => {
    const peers = [await seeder(), await seeder(), await seeder()];
    const me = enterTwin();
    const { folder, progress } = await fetchFrom(peers.map(({ self }) => peerSource(me, self)));
    assertWhole(folder);
    const used = new Set(progress.filter(({ file }) => file === LARGE).map(({ source }) => source));
    assert.ok(used.size >= 2, `only ${used.size} source gave pieces of the large file`);
    const last = progress.at(-1);
    assert.equal(last?.doneBytes, last?.totalBytes);
    assert.deepEqual(
      progress.map(({ doneBytes }) => doneBytes),
      progress.map(({ doneBytes }) => doneBytes).toSorted((a, b) => a - b),
    );
  });

  it('takes only the files that are needed, and those that are here not again', async () => {
    const me = enterTwin();
    const sources = [peerSource(me, (await seeder()).self)];
    const folder = emptyFolder();
    const deps = { sources: async () => sources, onProgress: () => undefined, log: silentLog };
    const needs = (_manifest: unknown, file: string) => file === LARGE;
    await fetchModel({ manifest: model.hash, folder, needs }, deps, AbortSignal.timeout(30_000));
    assert.throws(() => readFileSync(join(folder, 'embed.f16')), { code: 'ENOENT' });
    const { progress } = await fetchFrom(sources, folder);
    assert.equal(
      progress.some(({ file }) => file === LARGE),
      false,
    );
    assertWhole(folder);
    const damaged = readFileSync(join(folder, LARGE));
    damaged[9] = (damaged[9] ?? 0) ^ 1;
    writeFileSync(join(folder, LARGE), damaged);
    await fetchFrom(sources, folder);
    assertWhole(folder);
  });

  it('one of three peers serves a wrong piece: it is left out, the rest is whole', async () => {
    const liar = damagedCopy('liar', 1);
    // It names the true hashes and sends what it has: as a disk that has gone bad since.
    const honest = [await seeder(), await seeder()];
    const me = enterTwin();
    const bad = peerSource(me, (await seeder(liar)).self);
    const truth = peerSource(me, honest[0]?.self ?? me.self);
    const rotten: Source = { ...bad, width: 6, hashes: truth.hashes };
    const { folder, progress } = await fetchFrom([rotten, ...honest.map(({ self }) => peerSource(me, self))]);
    assertWhole(folder);
    const large = progress.filter(({ file }) => file === LARGE);
    assert.equal(large.length, 6);
  });

  it('most peers name the pieces of another file: they are found out and left out', async () => {
    const liars = [await seeder(damagedCopy('liar-2', 2)), await seeder(damagedCopy('liar-3', 2))];
    const honest = await seeder();
    const me = enterTwin();
    const { folder } = await fetchFrom([...liars, honest].map(({ self }) => peerSource(me, self)));
    assertWhole(folder);
  });

  it('says MODEL_UNAVAILABLE when nobody has a true copy', async () => {
    const me = enterTwin();
    const sources = [peerSource(me, (await seeder(damagedCopy('liar-4', 1))).self)];
    await assert.rejects(fetchFrom(sources), { code: 'MODEL_UNAVAILABLE' });
  });

  it('a peer that is gone in the middle is replaced by another', async () => {
    const [first, second] = [await seeder(), await seeder()];
    const me = enterTwin();
    const leaving = peerSource(me, first.self);
    let given = 0;
    const source: Source = {
      ...leaving,
      async chunk(...ask) {
        given += 1;
        if (given === 3) network.kill(first.self);
        return leaving.chunk(...ask);
      },
    };
    assertWhole((await fetchFrom([source, peerSource(me, second.self)])).folder);
    assert.ok(given >= 3);
  });

  it('goes on with the pieces that are here, and fetches again what is damaged', async () => {
    const me = enterTwin();
    const source = peerSource(me, (await seeder()).self);
    const folder = emptyFolder();
    const stop = new AbortController();
    let given = 0;
    const stopping: Source = {
      ...source,
      width: 1,
      async chunk(name, file, index, signal) {
        if (name === LARGE && ++given > 3) stop.abort(new Error('power cut'));
        return source.chunk(name, file, index, signal);
      },
    };
    await assert.rejects(fetchFrom([stopping], folder, stop.signal), /power cut/);
    const part = join(folder, `${LARGE}.part`);
    const bytes = readFileSync(part);
    bytes[CHUNK_BYTES + 1] = (bytes[CHUNK_BYTES + 1] ?? 0) ^ 1;
    writeFileSync(part, bytes);
    const { progress } = await fetchFrom([source], folder);
    assertWhole(folder);
    assert.equal(progress.filter(({ file }) => file === LARGE).length, 4);
  });

  it('sends no faster than it may', async () => {
    const overlay = enterTwin();
    const me = enterTwin();
    await seedModel({ model, has: everything, uploadRate: CHUNK_BYTES }, { overlay, log: silentLog });
    const source = peerSource(me, overlay.self);
    const file = model.manifest.files[LARGE];
    assert.ok(file !== undefined);
    const before = performance.now();
    for (const index of [0, 1]) await source.chunk(LARGE, file, index, AbortSignal.timeout(10_000));
    assert.ok(performance.now() - before > 900);
  });

  it('breaks off what is no request', async () => {
    const overlay = await seeder();
    const me = enterTwin();
    const asking = { maxFrameBytes: 100, signal: AbortSignal.timeout(5000) };
    await assert.rejects(me.request(overlay.self, '/tessera/blocks/1', Uint8Array.of(1), asking), {
      code: 'STREAM_RESET',
    });
  });

  it('serves a file from the moment on at which it is here', async () => {
    let isHere = false;
    const peer = await seeder(model, (file) => file !== LARGE || isHere);
    const source = peerSource(enterTwin(), peer.self);
    const file = model.manifest.files[LARGE];
    assert.ok(file !== undefined);
    assert.equal(await source.hashes(LARGE, file, AbortSignal.timeout(5000)), undefined);
    isHere = true;
    assert.notEqual(await source.hashes(LARGE, file, AbortSignal.timeout(5000)), undefined);
  });

  describe('the draft table beside a model', () => {
    const MAX_BYTES = 3 * CHUNK_BYTES;
    /** Tables begin with a 7 here. */
    const table = (bytes: number): Buffer => Buffer.alloc(bytes, 7);

    async function peerWith(draft: Buffer | undefined): Promise<PeerId> {
      const overlay = enterTwin();
      const path = emptyFolder();
      if (draft !== undefined) writeFileSync(path, draft);
      await seedModel({ model, has: () => false, draft: path }, { overlay, log: silentLog });
      return overlay.self;
    }

    /** Its length; undefined when nobody has one. Every byte of it is as it should be. */
    async function fetchFrom(sources: readonly Source[]): Promise<number | undefined> {
      const folder = emptyFolder();
      mkdirSync(folder);
      const wanted = { manifest: model.hash, name: 'draft.ngrams', maxBytes: MAX_BYTES };
      const fault = (bytes: Uint8Array) => (bytes[0] === 7 ? undefined : 'it does not begin as a table');
      const deps = { sources: async () => sources, log: silentLog };
      const found = await fetchDraft({ ...wanted, folder, fault }, deps, AbortSignal.timeout(30_000));
      assert.deepEqual(readdirSync(folder), found ? ['draft.ngrams'] : []);
      if (!found) return undefined;
      const bytes = readFileSync(join(folder, 'draft.ngrams'));
      assert.ok(bytes.equals(table(bytes.length)));
      return bytes.length;
    }

    for (const bytes of [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, MAX_BYTES])
      it(`comes whole from a peer: ${bytes} bytes`, async () => {
        const peer = await peerWith(table(bytes));
        assert.equal(await fetchFrom([peerSource(enterTwin(), peer)]), bytes);
      });

    it('comes from whoever has one that can be used', async () => {
      const none = await peerWith(undefined);
      const empty = await peerWith(Buffer.alloc(0));
      const endless = await peerWith(table(MAX_BYTES + 1));
      const bad = await peerWith(Buffer.alloc(9));
      const gone = await peerWith(table(5));
      network.kill(gone);
      const me = enterTwin();
      const useless = [none, empty, endless, bad, gone].map((peer) => peerSource(me, peer));
      assert.equal(await fetchFrom(useless), undefined);
      const good = peerSource(me, await peerWith(table(20)));
      assert.equal(await fetchFrom([...useless, good]), 20);
    });

    it('is that of one model', async () => {
      const source = peerSource(enterTwin(), await peerWith(table(5)));
      const wanted = { manifest: 'ee'.repeat(32), name: 'draft.ngrams', maxBytes: MAX_BYTES };
      assert.equal(await source.draft(wanted, AbortSignal.timeout(5000)), undefined);
    });

    it('comes from a web folder too, and no more of it than may be', async () => {
      let bytes = table(12);
      const server = createServer((request, response) => {
        response.statusCode = request.url === '/model/draft.ngrams' ? 200 : 404;
        response.end(bytes);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      try {
        const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        assert.equal(await fetchFrom([webSource(`${base}/model`, 1)]), 12);
        assert.equal(await fetchFrom([webSource(`${base}/other`, 1)]), undefined);
        bytes = table(MAX_BYTES + 1);
        assert.equal(await fetchFrom([webSource(`${base}/model`, 1)]), undefined);
      } finally {
        server.close();
        server.closeAllConnections();
      }
    });
  });

  describe('from a web server', () => {
    let url: string;
    let asked: string[];
    let answers: 'ranges' | 'whole files' | 'too much';
    const server = createServer((request, response) => {
      const name = (request.url ?? '').slice('/model/'.length);
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      asked.push(`${request.method} ${name} ${request.headers.range ?? ''}`);
      const bytes = readFileSync(join(model.folder, name));
      if (range === null || answers === 'whole files') return response.end(bytes);
      const [from, to] = [Number(range[1]), Number(range[2]) + 1];
      response.statusCode = 206;
      response.end(answers === 'too much' ? Buffer.alloc(8 << 20) : bytes.subarray(from, to));
      return undefined;
    });

    before(async () => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`;
    });
    after(() => server.close());
    beforeEach(() => {
      asked = [];
      answers = 'ranges';
    });

    it('alone, by ranges, and on where it ended', async () => {
      const folder = emptyFolder();
      await fetchFrom([webSource(url, 1 << 20)], folder);
      assertWhole(folder);
      assert.ok(asked.includes(`GET ${LARGE} bytes=${5 * CHUNK_BYTES}-${LARGE_BYTES - 1}`));
      const again = emptyFolder();
      await fetchFrom([webSource(url, 1 << 20)], again);
      const part = join(again, `${LARGE}.part`);
      writeFileSync(part, readFileSync(join(again, LARGE)));
      truncateSync(part, 3 * CHUNK_BYTES + 10);
      rmSync(join(again, LARGE));
      asked = [];
      await fetchFrom([webSource(url, 1 << 20)], again);
      assertWhole(again);
      assert.equal(asked.filter((line) => line.startsWith(`GET ${LARGE}`)).length, 3);
    });

    it('when no peer has a file', async () => {
      const me = enterTwin();
      const peer = peerSource(me, (await seeder(model, (file) => file !== LARGE)).self);
      assertWhole((await fetchFrom([peer, webSource(url, 1 << 20)])).folder);
    });

    for (const kind of ['whole files', 'too much'] as const)
      it(`takes no harm from a server that answers ranges with ${kind}`, async () => {
        answers = kind;
        const me = enterTwin();
        const peer = peerSource(me, (await seeder()).self);
        assertWhole((await fetchFrom([webSource(url, 1 << 20), peer])).folder);
      });
  });

  it('goes on after kill -9, from three peers over libp2p', async () => {
    const overlays = await Promise.all([1, 2, 3].map(enter));
    let served = 0;
    for (const overlay of overlays) {
      const counting: Overlay = {
        ...overlay,
        handleRequest: (protocol, options, handler) =>
          overlay.handleRequest(protocol, options, async (...ask) => {
            const answer = await handler(...ask);
            if (answer.length > CHUNK_BYTES) served += 1;
            return answer;
          }),
      };
      await seedModel({ model, has: everything, uploadRate: CHUNK_BYTES }, { overlay: counting, log: silentLog });
    }
    const folder = emptyFolder();
    const script = fileURLToPath(new URL('../support/fetch-model.ts', import.meta.url));
    const addresses = overlays.flatMap((overlay) => overlay.addresses());
    const child = spawn(process.execPath, [script, folder, model.hash, ...addresses], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const _ of child.stdout) if (served >= 3) child.kill('SIGKILL');
    assert.equal(child.signalCode ?? (await once(child, 'close'))[1], 'SIGKILL');
    const before = served;
    const me = await enter(4);
    const peers = await Promise.all(addresses.map((address) => me.connect(address, AbortSignal.timeout(10_000))));
    const { progress } = await fetchFrom(
      peers.map((peer) => peerSource(me, peer)),
      folder,
    );
    assertWhole(folder);
    const again = progress.filter(({ file }) => file === LARGE).length;
    assert.ok(before >= 3 && again < 6, `${again} of 6 pieces were fetched again`);
    await Promise.all([...overlays, me].map((overlay) => overlay.close()));
  });
});

function enter(seed: number): Promise<Overlay> {
  return createOverlay(
    {
      identity: identityFromSeed(new Uint8Array(32).fill(seed)),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      network: 'test',
      dhtServer: true,
      topics: [],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 0 },
      privateAddresses: true,
    },
    { log: silentLog },
  );
}
