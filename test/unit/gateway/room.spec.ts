import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { createRoom } from '../../../src/gateway/room.ts';

class FakeSocket extends EventEmitter {
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

describe('gateway: room for connections', () => {
  function room(limit: number) {
    const { enter, busy, idle } = createRoom(limit);
    const come = () => {
      const socket = new FakeSocket();
      enter(socket as unknown as Socket);
      return socket;
    };
    const as = (act: (socket: Socket) => void) => (socket: FakeSocket) => act(socket as unknown as Socket);
    return { come, busy: as(busy), idle: as(idle) };
  }

  it('past the limit the oldest of those that have asked nothing goes', () => {
    const { come, busy } = room(3);
    const [asking, first, second] = [come(), come(), come()];
    busy(asking);
    const third = come();
    assert.deepEqual(
      [asking, first, second, third].map(({ destroyed }) => destroyed),
      [false, true, false, false],
    );
  });

  it('then who has rested longest since its answer; who is being answered stays, and the next one goes instead', () => {
    const { come, busy, idle } = room(2);
    const [one, two] = [come(), come()];
    for (const socket of [one, two]) busy(socket);
    assert.equal(come().destroyed, true);
    idle(two);
    idle(one);
    const next = come();
    assert.deepEqual(
      [one, two, next].map(({ destroyed }) => destroyed),
      [false, true, false],
    );
    busy(next);
    busy(one);
    assert.equal(come().destroyed, true);
    assert.equal(one.destroyed, false);
  });

  it('who has left leaves room', () => {
    const { come } = room(1);
    come().destroy();
    const [first, second] = [come(), come()];
    assert.deepEqual([first.destroyed, second.destroyed], [true, false]);
  });
});
