import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { openSocket, RpcFault, type RpcSocket } from '../../../src/chain/substrate/rpc-socket.ts';
import { errorCode } from '../../../src/util/errors.ts';

describe('RPC socket', () => {
  let server: WebSocketServer;
  let remote: WebSocket;
  let socket: RpcSocket;
  let asked: { readonly id: number; readonly method: string; readonly params: readonly unknown[] }[];
  let answer: (request: (typeof asked)[number]) => readonly unknown[];

  beforeEach(async () => {
    asked = [];
    answer = ({ id, method }) => [{ jsonrpc: '2.0', id, result: method }];
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const connected = once(server, 'connection');
    socket = await openSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, AbortSignal.timeout(5000));
    [remote] = (await connected) as [WebSocket];
    remote.on('message', (data) => {
      const request = JSON.parse(String(data));
      asked.push(request);
      for (const message of answer(request))
        remote.send(typeof message === 'string' ? message : JSON.stringify(message));
    });
  });
  afterEach(async () => {
    socket.close();
    remote.terminate();
    server.close();
    await once(server, 'close');
  });

  it('gives every request its own answer, whatever else comes', async () => {
    answer = ({ id, method }) =>
      method === 'first'
        ? []
        : ['garbage', 'null', '[]', { id: 99 }, { id, result: method }, { id: id - 1, result: 'first' }];
    const answers = await Promise.all([socket.send('first', []), socket.send('second', [1, 'a'])]);
    assert.deepEqual(answers, ['first', 'second']);
    assert.deepEqual(asked[1]?.params, [1, 'a']);
  });

  it('throws what the endpoint refuses, with its code and data', async () => {
    answer = ({ id }) => [{ id, error: { code: 1010, message: 'Invalid Transaction', data: 'Inability to pay' } }];
    await assert.rejects(socket.send('x', []), (error) => {
      assert.ok(error instanceof RpcFault);
      assert.equal(error.rpc, 1010);
      assert.equal(error.message, 'Invalid Transaction: Inability to pay');
      return true;
    });
  });

  it('takes null for what is not there', async () => {
    answer = ({ id, method }) => [
      { id: null, method: 'x', params: null },
      { id, result: method, error: null, params: null },
    ];
    assert.equal(await socket.send('first', []), 'first');
  });

  it('survives messages of every shape', async () => {
    answer = ({ id }) => [
      ...[{ params: 5 }, { params: { result: 1 } }, { id, error: 'no' }, { id, error: { message: 1 } }, 7],
      { id, result: 'well' },
    ];
    assert.equal(await socket.send('x', []), 'well');
  });

  it('ends the connection whose notices its listener does not understand', async () => {
    answer = ({ id }) => [
      { id, result: 'S1' },
      { method: 'head', params: { subscription: 'S1', result: 'junk' } },
    ];
    const lost = once(socket.lost, 'abort');
    await socket.subscribe('subscribe', [], () => {
      throw new RangeError('no header');
    });
    await lost;
  });

  it('ends a request that is never answered with its signal', async () => {
    answer = () => [];
    const stop = new AbortController();
    const why = new Error('late');
    const waiting = socket.send('x', [], stop.signal);
    stop.abort(why);
    await assert.rejects(waiting, why);
    await assert.rejects(socket.send('x', [], AbortSignal.abort(why)), why);
  });

  it('takes so many requests without an answer and no more', async () => {
    answer = () => [];
    const waiting = Array.from({ length: 1024 }, () => socket.send('x', []).catch(errorCode));
    await assert.rejects(socket.send('x', []), (error) => errorCode(error) === 'CHAIN_UNREACHABLE');
    assert.equal(socket.lost.aborted, false);
    socket.close();
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['CHAIN_UNREACHABLE']));
  });

  it('ends all requests when the connection is lost, and later ones at once', async () => {
    answer = () => [];
    const waiting = [socket.send('x', []), socket.send('y', [])];
    remote.terminate();
    for (const each of waiting) await assert.rejects(each, (error) => errorCode(error) === 'CHAIN_UNREACHABLE');
    assert.equal(socket.lost.aborted, true);
    await assert.rejects(socket.send('z', []), (error) => errorCode(error) === 'CHAIN_UNREACHABLE');
  });

  it('tells a subscription its notices, also those that come before its id is known', async () => {
    const notice = (value: number) => ({ method: 'head', params: { subscription: 'S1', result: value } });
    answer = ({ id }) => [notice(1), { id, result: 'S1' }, notice(2)];
    const seen: unknown[] = [];
    const both = Promise.withResolvers<void>();
    const id = await socket.subscribe('subscribe', [], (value) => {
      seen.push(value);
      if (value === 2) both.resolve();
    });
    await both.promise;
    assert.deepEqual(seen, [1, 2]);
    socket.unsubscribe(id);
    answer = ({ id: request }) => [notice(3), { id: request, result: true }];
    await socket.send('x', []);
    assert.deepEqual(seen, [1, 2]);
  });

  it('cannot be opened where nobody listens, or at what is no address', async () => {
    for (const endpoint of ['ws://127.0.0.1:1', 'nowhere', '']) {
      await assert.rejects(
        openSocket(endpoint, AbortSignal.timeout(5000)),
        (error) => errorCode(error) === 'CHAIN_UNREACHABLE' && String(error).includes(endpoint),
      );
    }
  });
});
