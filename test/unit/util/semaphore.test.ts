import { describe, expect, it } from 'vitest';

import { Semaphore } from '../../../src/util/semaphore.js';

describe('a semaphore', () => {
  it('grants its permits in the order of the requests, never more than there are', async () => {
    const slots = new Semaphore(2);
    const log: number[] = [];
    let underWay = 0;
    const call = async (name: number): Promise<void> => {
      await slots.acquire();
      underWay += 1;
      expect(underWay).toBeLessThanOrEqual(2);
      log.push(name);
      await Promise.resolve();
      underWay -= 1;
      slots.release();
    };
    const names = Array.from({ length: 50 }, (_, name) => name);
    await Promise.all(names.map(call));
    expect(log).toEqual(names);
    expect([slots.acquire(), slots.acquire()]).toEqual([undefined, undefined]);
    expect(slots.acquire()).toBeInstanceOf(Promise);
  });

  it('delays no holder of a permit in an endless line', () => {
    const slots = new Semaphore(1);
    void slots.acquire();
    for (let n = 0; n < 3; n += 1) void slots.acquire();
    const before = process.memoryUsage().heapUsed;
    // There is always somebody waiting, as when hints for many keys keep coming.
    for (let n = 0; n < 1_000_000; n += 1) {
      void slots.acquire();
      slots.release();
    }
    // Each who waits takes more than a hundred bytes; garbage that is not collected yet stays far below that.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60e6);
  });
});
