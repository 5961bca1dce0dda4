import assert from 'node:assert/strict';
import { prettyLine } from '../../../src/util/log.ts';

describe('log lines for people', () => {
  it('say when, how grave, where, what, and the facts', () => {
    const line = { level: 40, time: 45_296_789, room: 'p2p', msg: 'peer refused', peer: '12D3', count: 3 };
    assert.equal(prettyLine(JSON.stringify(line)), '12:34:56.789 WARN  p2p: peer refused peer=12D3 count=3\n');
    assert.match(prettyLine('{"level":30,"time":0,"msg":"up"}'), /^00:00:00\.000 INFO {2}up\n$/);
  });
});
