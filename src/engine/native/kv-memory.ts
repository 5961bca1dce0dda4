// KV caches in a device's memory, in half precision.

import type { KvMemory } from '../kv-memory.ts';
import type { DeviceMemory } from './memory.ts';
import type { Address, DevicePlace } from './runtime.ts';

const VALUE_BYTES = Float16Array.BYTES_PER_ELEMENT;

export function createDeviceKvMemory(device: DeviceMemory): KvMemory<DevicePlace> {
  const sides = new Map<number, DevicePlace>();
  const at = (side: number, value: number): Address => (sides.get(side)?.address ?? 0n) + BigInt(value * VALUE_BYTES);
  return {
    resize(side, values) {
      const old = sides.get(side);
      const bytes = values * VALUE_BYTES;
      sides.delete(side);
      if (bytes > 0) {
        const address = device.allocate(bytes);
        if (old !== undefined) device.copy(address, old.address, Math.min(bytes, old.bytes));
        sides.set(side, { address, bytes });
      }
      if (old !== undefined) device.release(old.address);
    },
    part: (side, from, count) => ({ address: at(side, from), bytes: count * VALUE_BYTES }),
    move: (side, to, from, count) => device.copy(at(side, to), at(side, from), count * VALUE_BYTES),
  };
}
