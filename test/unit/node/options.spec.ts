import assert from 'node:assert/strict';
import { OPTIONS, type OptionName, resolveOptions, shownDefault } from '../../../src/node/options.ts';

const NOTHING = { flags: {}, env: {}, file: {} };
const ONE = 10n ** 18n;

describe('options: where a value comes from', () => {
  const env = { TESSERA_BLOCK_MS: '300' };
  const file = { 'block-ms': 200 };
  const cases: Record<string, [Parameters<typeof resolveOptions>[1], number]> = {
    'the default': [NOTHING, 1000],
    'the file beats the default': [{ ...NOTHING, file }, 200],
    'the environment beats the file': [{ ...NOTHING, env, file }, 300],
    'the flag beats all': [{ flags: { 'block-ms': '400' }, env, file }, 400],
  };
  for (const [what, [sources, expected]] of Object.entries(cases)) {
    it(what, () => assert.equal(resolveOptions(['block-ms'], sources)['block-ms'], expected));
  }
});

describe('options: what is accepted', () => {
  const flags = (name: OptionName, value: unknown): unknown =>
    resolveOptions([name], { ...NOTHING, flags: { [name]: value } })[name];
  const accepted: [OptionName, unknown, unknown][] = [
    ['stake', '0.5', ONE / 2n],
    ['stake', 100, 100n * ONE],
    ['stake', '0.000000000000000001', 1n],
    ['rpc', 'ws://a:1, ws://b:2', ['ws://a:1', 'ws://b:2']],
    ['rpc', ['ws://a:1'], ['ws://a:1']],
    ['rpc', ['ws://a:1,ws://b:2', 'ws://c:3'], ['ws://a:1', 'ws://b:2', 'ws://c:3']],
    ['host-maddrs', ['/ip4/0.0.0.0/tcp/1', '/ip6/::/tcp/2/ws'], ['/ip4/0.0.0.0/tcp/1', '/ip6/::/tcp/2/ws']],
    ['host-maddrs', ['/p2p-circuit'], ['/p2p-circuit']],
    ['initial-peers', '/dns4/a.example/tcp/1,/dnsaddr/b', ['/dns4/a.example/tcp/1', '/dnsaddr/b']],
    ['json', 'true', true],
    ['json', '0', false],
    ['rpc-port', '0', 0],
    ['memory', '8GiB', 2 ** 33],
    ['memory', '512 M', 2 ** 29],
    ['memory', 1_000_000, 1_000_000],
  ];
  for (const [name, value, expected] of accepted) {
    it(`--${name} ${JSON.stringify(value)}`, () => assert.deepEqual(flags(name, value), expected));
  }

  const refused: [OptionName, unknown][] = [
    ['stake', '-1'],
    ['stake', '1e3'],
    ['stake', '0.0000000000000000001'],
    ['stake', `${'9'.repeat(19)}`],
    ['rpc', 'localhost'],
    ['rpc', '127.0.0.1:9944'],
    ['rpc', ['ws://a:1', 'foo']],
    ['host-maddrs', '127.0.0.1:31330'],
    ['announce-maddrs', ['/ip4/1.2.3.4/tcp/1', 'me.example']],
    ['initial-peers', 'foo'],
    ['rpc-port', '65536'],
    ['block-ms', '0'],
    ['block-ms', 'soon'],
    ['hosters', '65'],
    ['role', 'miner'],
    ['top-p', '0'],
    ['json', 'perhaps'],
    ['memory', '8 GB'],
    ['memory', '0'],
    ['memory', '1.5GiB'],
  ];
  for (const [name, value] of refused) {
    it(`--${name} ${JSON.stringify(value)} is refused by name`, () =>
      assert.throws(
        () => flags(name, value),
        (error: Error & { facts?: unknown }) => {
          assert.ok(error.message.includes(`--${name}`), error.message);
          assert.deepEqual(error.facts, { code: 'OPTION_INVALID', option: name, source: `--${name}` });
          return true;
        },
      ));
  }

  it('the environment and the file are named as the source', () => {
    assert.throws(() => resolveOptions(['port'], { ...NOTHING, env: { TESSERA_PORT: 'x' } }), /TESSERA_PORT is "x"/);
    assert.throws(() => resolveOptions(['port'], { ...NOTHING, file: { port: -1 } }), /config key port is -1/);
  });
});

describe('options: defaults', () => {
  it('every default passes its own check', () => {
    const names = Object.keys(OPTIONS) as OptionName[];
    assert.doesNotThrow(() => resolveOptions(names, NOTHING));
  });

  it('are shown as a person would type them', () => {
    assert.equal(shownDefault('stake'), '100');
    assert.equal(shownDefault('rpc'), 'ws://127.0.0.1:9944');
    assert.equal(shownDefault('bootnode'), undefined);
    assert.equal(shownDefault('threads'), undefined);
  });
});
