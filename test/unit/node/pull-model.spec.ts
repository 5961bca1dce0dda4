import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseManifest, textFiles } from '../../../src/model/manifest.ts';
import { neededFiles } from '../../../src/node/pull-model.ts';

describe('files that a node needs of a model', () => {
  const manifest = parseManifest(new Uint8Array(readFileSync('models/tiny/manifest.json')));
  const [cut = ''] = Object.keys(manifest.cuts);
  const small = textFiles(manifest);

  it('are those of its shards', () => {
    const [first] = manifest.shards;
    assert.ok(first !== undefined);
    const needed = neededFiles(manifest, cut, { role: 'hoster', shards: '0' });
    assert.deepEqual(needed, new Set([...small, first.graph, first.det.graph, ...first.weights]));
  });

  it('are few while it is not decided what is served', () => {
    assert.deepEqual(neededFiles(manifest, cut, { role: 'hoster', shards: 'auto' }), new Set(small));
  });

  it('are few for an attestor', () => {
    assert.deepEqual(neededFiles(manifest, cut, { role: 'attestor', shards: 'auto' }), new Set(small));
  });
});
