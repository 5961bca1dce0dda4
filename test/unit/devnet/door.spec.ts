import assert from 'node:assert/strict';
import { listenKindly } from '../../../src/devnet/door.ts';
import { CodedError } from '../../../src/util/errors.ts';

describe('devnet: the port of the gateway', () => {
  const busyBelow = (free: number) => async (port: number) => {
    if (port !== 0 && port < free) throw new CodedError({ code: 'GATEWAY_PORT_BUSY' }, 'taken');
    return port;
  };

  it('is the default, or the next that is free, or any', async () => {
    assert.equal(await listenKindly(undefined, busyBelow(0)), 8080);
    assert.equal(await listenKindly(undefined, busyBelow(8083)), 8083);
    assert.equal(await listenKindly(undefined, busyBelow(9000)), 0);
  });

  it('is the named one or none', async () => {
    assert.equal(await listenKindly(8090, busyBelow(0)), 8090);
    await assert.rejects(listenKindly(8090, busyBelow(9000)), { code: 'GATEWAY_PORT_BUSY' });
  });

  it('other failures are not tried again', async () => {
    let tries = 0;
    const failing = async (): Promise<never> => {
      tries += 1;
      throw new CodedError({ code: 'GATEWAY_LISTEN_FAILED' }, 'no such address');
    };
    await assert.rejects(listenKindly(undefined, failing), { code: 'GATEWAY_LISTEN_FAILED' });
    assert.equal(tries, 1);
  });
});
