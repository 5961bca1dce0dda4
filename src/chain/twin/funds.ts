// Who has money at genesis: the development accounts `//dev:0` to `//dev:11` of chain.md 8, as in the dev chain's spec.

import type { Address } from '../../types/ids.ts';
import { TENSOR } from './state.ts';

const RICH = [
  '0xf24ff3a9cf04c71dbc94d0b566f7a27b94566cac',
  '0x3cd0a705a2dc65e5b1e1205896baa2be8a07c6e0',
  '0x798d4ba9baf0064ec19eb4f0a1a45785ae9d6dfc',
  '0x773539d4ac0e786233d90a233654ccee26a613d9',
  '0xff64d3f6efe2317ee2807d223a0bdc4c0c49dfdb',
  '0xc0f0f4ab324c46e55d02d0033343b4be8a55532d',
];

const HOTKEYS = [
  '0x7bf369283338e12c90514468aa3868a551ab2929',
  '0x931f3600a299fd9b24cefb3bff79388d19804bea',
  '0xc41c5f1123eccd5ce233578b2e7ebd5693869d73',
  '0x2898fe7a42be376c8bc7af536a940f7fd5add423',
  '0x583e6cfb24ae212a36db2766597ff8e6ac796751',
  '0xbb827670b9dcb162daa8dbf3dff63a71c844d17d',
];

export const DEVELOPMENT_FUNDS: ReadonlyMap<Address, bigint> = new Map([
  ...RICH.map((address) => [address as Address, 1_000_000n * TENSOR] as const),
  ...HOTKEYS.map((address) => [address as Address, 1000n * TENSOR] as const),
]);
