// KV caches in a device's memory.

import type { DeviceProfile } from '../../graph/linear.ts';
import { CACHE_TYPE } from '../../graph/llama.ts';
import { TYPE_BYTES } from '../../graph/onnx.ts';
import type { KvMemory } from '../kv-memory.ts';
import type { DeviceMemory } from './memory.ts';
import type { Address, DevicePlace } from './runtime.ts';

export function createDeviceKvMemory(device: DeviceMemory, profile: DeviceProfile): KvMemory<DevicePlace> {
  const each = TYPE_BYTES[CACHE_TYPE[profile]];
  const sides = new Map<number, DevicePlace>();
  const at = (side: number, value: number): Address => (sides.get(side)?.address ?? 0n) + BigInt(value * each);
  /** The values that still fit, in memory of their own. */
  const moved = (old: DevicePlace | undefined, bytes: number): DevicePlace => {
    const address = device.allocate(bytes);
    if (old !== undefined) device.copy(address, old.address, Math.min(bytes, old.bytes));
    return { address, bytes };
  };
  return {
    resize(side, values) {
      const old = sides.get(side);
      const bytes = values * each;
      if (old?.bytes === bytes) return;
      try {
        if (bytes > 0) sides.set(side, moved(old, bytes));
        else sides.delete(side);
      } catch (error) {
        // Whoever leaves must not fail for want of room: what is there is large enough.
        if (old === undefined || bytes > old.bytes) throw error;
        return;
      }
      if (old !== undefined) device.release(old.address);
    },
    part: (side, from, count) => ({ address: at(side, from), bytes: count * each }),
    move: (side, to, from, count) => device.copy(at(side, to), at(side, from), count * each),
  };
}
