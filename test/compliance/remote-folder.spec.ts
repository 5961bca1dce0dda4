// Models from the web: a folder behind a URL and a repository of the hub, on a server of our own. What breaks off goes on, what is wrong is refused, and
// the token goes to the hub alone.

import { strict as assert } from 'node:assert';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { downloadFolder, hubFolder, type RemoteFolder, urlFolder } from '../../src/distribution/remote-folder.ts';
import { runCli } from '../support/cli.ts';
import { type EncoderFolder, writeEncoderFolder } from '../support/hf-encoder-folder.ts';
import { startWebServer, type WebServer } from '../support/web-server.ts';

const TOKEN = 'hf_secret_of_the_test';

describe('models from the web', function () {
  this.timeout(120_000);
  let root: string;
  let served: string;
  let here: string;
  let web: WebServer;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tessera-web-'));
    [served, here] = [join(root, 'served'), join(root, 'here')];
    const { tokenizer, models } = JSON.parse(
      await readFile(new URL('../vectors/encoders.json', import.meta.url), 'utf8'),
    ) as {
      readonly tokenizer: object;
      readonly models: readonly Omit<EncoderFolder, 'tokenizer'>[];
    };
    await writeEncoderFolder(served, { ...(models[3] ?? assert.fail()), tokenizer });
    await writeFile(join(served, 'pytorch_model.bin'), 'never read');
    await writeFile(join(served, 'README.md'), 'words');
    web = await startWebServer(served);
  });
  afterEach(async () => {
    await web.close();
    await rm(root, { recursive: true });
  });

  const remotes: Readonly<Record<string, () => RemoteFolder>> = {
    url: () => urlFolder(`${web.url}/files`),
    hub: () => hubFolder({ repo: 'me/model', revision: 'main', hubUrl: web.url, token: TOKEN }),
  };
  const fetchAll = (remote: RemoteFolder, more: object = {}) =>
    downloadFolder(remote, here, { onProgress: () => undefined, ...more }, new AbortController().signal);

  const breaksOff = async (remote: RemoteFolder) => {
    web.breakAfter = 100_000;
    const fetching = assert.rejects(fetchAll(remote), /broke off at 100000 bytes/);
    const size = () =>
      stat(join(here, 'model.safetensors.part')).then(
        ({ size: bytes }) => bytes,
        () => 0,
      );
    while ((await size()) < 100_000) await turn();
    web.cut();
    await fetching;
  };

  for (const [kind, make] of Object.entries(remotes)) {
    it(`${kind}: what an import reads comes whole, and nothing else`, async () => {
      const steps: number[] = [];
      await fetchAll(make(), { onProgress: (done: number) => steps.push(done) });
      for (const path of [
        'config.json',
        'model.safetensors',
        '1_Pooling/config.json',
        '2_Dense/model.safetensors',
        'tokenizer.json',
      ])
        assert.deepEqual(await readFile(join(here, path)), await readFile(join(served, path)), path);
      assert.ok(!existsSync(join(here, 'pytorch_model.bin')) && !existsSync(join(here, 'README.md')));
      assert.ok(readdirSync(here, { recursive: true }).every((path) => !String(path).includes('.part')));
      assert.deepEqual(
        steps,
        steps.toSorted((a, b) => a - b),
      );
      // A second call finds all of it.
      web.asked.length = 0;
      await fetchAll(make());
      assert.ok(
        !web.asked.some(
          (line) => line.startsWith('GET') && line.includes('model.safetensors') && !line.includes('index'),
        ),
      );
    });

    it(`${kind}: what broke off goes on where it ended`, async () => {
      await breaksOff(make());
      await fetchAll(make());
      assert.ok(
        web.asked.some((line) => line.endsWith('model.safetensors bytes=100000-')),
        web.asked.join('\n'),
      );
      assert.deepEqual(
        await readFile(join(here, 'model.safetensors')),
        await readFile(join(served, 'model.safetensors')),
      );
    });

    it(`${kind}: a file that changed meanwhile begins again`, async () => {
      await breaksOff(make());
      const bytes = await readFile(join(served, 'model.safetensors'));
      bytes[5000] = (bytes[5000] ?? 0) ^ 1;
      await writeFile(join(served, 'model.safetensors'), bytes);
      await fetchAll(make());
      assert.deepEqual(await readFile(join(here, 'model.safetensors')), bytes);
    });

    it(`${kind}: more bytes than allowed are refused before they come`, async () => {
      await assert.rejects(fetchAll(make(), { maxBytes: 1000 }), /1000 are allowed/);
      assert.ok(!existsSync(join(here, 'model.safetensors')));
    });
  }

  it('hub: a file with another hash is refused and not kept', async () => {
    for (const path of ['model.safetensors', 'config.json']) {
      web.corrupt = path;
      await rm(here, { recursive: true, force: true });
      await assert.rejects(fetchAll((remotes.hub as () => RemoteFolder)()), /has not the hash/);
      assert.ok(!existsSync(join(here, path)) && !existsSync(join(here, `${path}.part`)));
    }
  });

  it('url: names that lead elsewhere are refused', async () => {
    await writeFile(join(served, 'modules.json'), JSON.stringify([{ path: '../../etc' }]));
    await assert.rejects(fetchAll(urlFolder(`${web.url}/files`)), /none of a model/);
  });

  it('nothing there is said', async () => {
    await assert.rejects(fetchAll(urlFolder(`${web.url}/nowhere`)), /no model\.safetensors/);
  });

  it('the command imports from the hub, pulls and pushes; the token is told to nobody', async () => {
    const at = (name: string) => join(root, name);
    const env = { HF_ENDPOINT: web.url, HF_TOKEN: TOKEN };
    const model = (...args: string[]) =>
      runCli(['model', ...args, '--json', '--log-level', 'debug', '--data-dir', at('home')], env);
    const made = await model('import', 'hf:me/model', '--out', at('ours'), '--parts', '2', '--license', 'MIT');
    assert.equal(made.code, 0, made.stderr);
    assert.deepEqual([made.lines[0]?.name, made.lines[0]?.dimensions], ['model', 32]);
    assert.ok(!existsSync(at('home/downloads')) || readdirSync(at('home/downloads')).length === 0);
    const pushed = await model('push', at('ours'), 'hf:me/model');
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.equal(web.committed.size, pushed.lines[0]?.files);
    assert.deepEqual(web.committed.get('manifest.json'), await readFile(at('ours/manifest.json')));
    assert.deepEqual([...web.tokens], [`Bearer ${TOKEN}`]);
    const shown = await startWebServer(at('ours'));
    try {
      const pulled = await model('pull', `${shown.url}/files`, '--out', at('copy'));
      assert.equal(pulled.code, 0, pulled.stderr);
      assert.equal(pulled.lines[0]?.manifest, made.lines[0]?.manifest);
      assert.deepEqual([...shown.tokens], []);
    } finally {
      await shown.close();
    }
    for (const { stdout, stderr } of [made, pushed]) assert.ok(!`${stdout}${stderr}`.includes(TOKEN));
  });
});
