import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createGuestMemory, type GuestMemory } from '../../../../src/devchain/host/memory.ts';
import { wasm } from '../../../../src/devchain/wasm.ts';

function memoryFrom(heapBase: number): GuestMemory {
  const memory = createGuestMemory(new wasm.Memory({ initial: 1 }));
  memory.startHeap(heapBase);
  return memory;
}

describe('devchain/host/memory', () => {
  it('leaves eight bytes before every block that a guest may write to', () => {
    const memory = memoryFrom(1001);
    const first = memory.place(new Uint8Array(16).fill(7));
    const second = memory.place(new Uint8Array(16).fill(8));
    memory.view(second - 8, 8).fill(0xff);
    assert.deepEqual([...memory.view(first, 16)], Array(16).fill(7));
    assert.ok(first >= 1001 + 8);
    assert.equal(first % 8, 0);
  });

  it('never hands out memory twice, reuses what was freed, and grows', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.record({ bytes: fc.nat(300_000) }), fc.record({ free: fc.nat() })), {
          maxLength: 40,
          size: 'max',
        }),
        (steps) => {
          const memory = memoryFrom(1024);
          const blocks: { pointer: number; bytes: number; mark: number }[] = [];
          steps.forEach((step, index) => {
            if ('bytes' in step) {
              const mark = (index % 250) + 1;
              blocks.push({ pointer: memory.place(new Uint8Array(step.bytes).fill(mark)), bytes: step.bytes, mark });
            } else if (blocks.length > 0) {
              const [gone] = blocks.splice(step.free % blocks.length, 1);
              if (gone !== undefined) memory.free(gone.pointer);
            }
          });
          for (const { pointer, bytes, mark } of blocks)
            assert.ok(memory.view(pointer, bytes).every((byte) => byte === mark));
        },
      ),
      { numRuns: 30 },
    );
    const memory = memoryFrom(0);
    const pointer = memory.allocate(100);
    memory.free(pointer);
    assert.equal(memory.allocate(120), pointer);
  });

  it('refuses to free twice, and spans that lie outside', () => {
    const memory = memoryFrom(0);
    const pointer = memory.allocate(1);
    memory.free(pointer);
    assert.throws(() => memory.free(pointer), { code: 'RUNTIME_MEMORY' });
    assert.throws(() => memory.span((1n << 62n) | 5n), { code: 'RUNTIME_MEMORY' });
    assert.throws(() => memory.span(-1n), { code: 'RUNTIME_MEMORY' });
  });

  it('packs a span as pointer and length', () => {
    const memory = memoryFrom(0);
    const span = memory.placeSpan(Buffer.from('héllo'));
    assert.equal(span >> 32n, 6n);
    assert.equal(memory.text(span), 'héllo');
    assert.equal(memory.key(span), Buffer.from('héllo').toString('latin1'));
  });
});
