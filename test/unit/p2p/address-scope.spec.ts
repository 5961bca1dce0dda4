import assert from 'node:assert/strict';
import { isPrivateAddress } from '../../../src/p2p/address-scope.ts';

const PRIVATE = [
  '/ip4/127.0.0.1/tcp/0',
  '/ip4/10.1.2.3/tcp/4001',
  '/ip4/192.168.0.2/tcp/4001/ws',
  '/ip4/172.31.0.2/tcp/4001',
  '/ip4/169.254.169.254/tcp/80',
  '/ip4/100.64.0.1/tcp/1',
  '/ip4/0.0.0.0/tcp/4001',
  '/ip6/::1/tcp/0',
  '/ip6/::/tcp/0',
  '/ip6/fd00::1/tcp/1',
  '/ip6/fe80::1/tcp/1',
  '/ip6/::ffff:a00:1/tcp/1',
  '/dns4/localhost/tcp/1',
  '/dns4/hoster-1/tcp/1',
  '/dns/printer.local/tcp/1',
  '/unix/tmp/socket',
  'nonsense',
];
const PUBLIC = [
  '/ip4/172.32.0.2/tcp/4001',
  '/ip4/85.1.2.3/tcp/4001/p2p/x/p2p-circuit',
  '/ip4/100.128.0.1/tcp/1',
  '/ip6/2001:db8::1/tcp/1',
  '/dns4/boot.example.org/tcp/443/wss',
];

describe('scope of an address', () => {
  for (const address of PRIVATE) it(`${address} is private`, () => assert.equal(isPrivateAddress(address), true));
  for (const address of PUBLIC) it(`${address} is public`, () => assert.equal(isPrivateAddress(address), false));
});
