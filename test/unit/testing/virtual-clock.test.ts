import { describe, expect, it } from 'vitest';

import { CredentialMemory, InvalidOptionError, MemoryCredentialStore } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred } from '../../support/wait.js';

const DAY_MS = 86_400_000;

describe('a virtual clock', () => {
  it('starts at the given instant, and stands still', async () => {
    const startAt = new Date('2031-05-06T07:08:09Z');
    const clock = new VirtualClock({ startAt });
    await clock.settle();
    expect(clock.now()).toBe(startAt.getTime());
    expect(new VirtualClock({ startAt: 5 }).now()).toBe(5);
    expect(clock.monotonic()).toBe(0);
  });

  it('moves both clocks by the given time', async () => {
    const clock = new VirtualClock({ startAt: 1_000 });
    await clock.advance(250.5);
    await clock.advance(0);
    expect([clock.now(), clock.monotonic()]).toEqual([1_250.5, 250.5]);
  });

  it('fires timers in order, each at its own instant', async () => {
    const clock = new VirtualClock();
    const fired: [name: string, at: number][] = [];
    const note = (name: string) => () => fired.push([name, clock.monotonic()]);
    clock.setTimer(note('c'), 30);
    clock.setTimer(note('a'), 10);
    clock.setTimer(note('b1'), 20);
    clock.setTimer(note('b2'), 20);
    clock.setTimer(note('later'), 31);
    await clock.advance(30);
    expect(fired).toEqual([
      ['a', 10],
      ['b1', 20],
      ['b2', 20],
      ['c', 30],
    ]);
    expect(clock.pendingTimers).toBe(1);
  });

  it('fires timers that timers set, as far as they are due', async () => {
    const clock = new VirtualClock();
    let beats = 0;
    const beat = (): void => {
      beats += 1;
      clock.setTimer(beat, 10);
    };
    clock.setTimer(beat, 10);
    await clock.advance(100);
    expect(beats).toBe(10);
    await clock.advance(9);
    expect(beats).toBe(10);
    await clock.advance(1);
    expect(beats).toBe(11);
  });

  it('fires a timer of no delay with advance(0), and not with settle', async () => {
    const clock = new VirtualClock();
    let fired = false;
    clock.setTimer(() => {
      fired = true;
    }, 0);
    await clock.settle();
    expect(fired).toBe(false);
    await clock.advance(0);
    expect(fired).toBe(true);
  });

  it('does not fire a canceled timer, however late or often', async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    const cancels = ['a', 'b', 'c'].map((name) => clock.setTimer(() => fired.push(name), 10));
    cancels[1]?.();
    cancels[1]?.();
    expect(clock.pendingTimers).toBe(2);
    clock.setTimer(() => cancels[2]?.(), 5);
    await clock.advance(10);
    cancels[0]?.();
    expect(fired).toEqual(['a']);
  });

  it('lets turns and promises drain between timers', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.setTimer(() => {
      seen.push('timer 1');
      clock.nextTurn(() => {
        seen.push('turn');
        void Promise.resolve()
          .then(() => undefined)
          .then(() => {
            clock.nextTurn(() => seen.push('turn of a promise'));
          });
      });
    }, 10);
    clock.setTimer(() => seen.push('timer 2'), 10);
    await clock.advance(10);
    expect(seen).toEqual(['timer 1', 'turn', 'turn of a promise', 'timer 2']);
  });

  it('runs turns without an advance', async () => {
    const clock = new VirtualClock();
    const { promise, resolve } = deferred();
    clock.nextTurn(resolve);
    await promise;
    expect(clock.monotonic()).toBe(0);
  });

  it('advances in order when several callers ask at the same time', async () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    clock.setTimer(() => fired.push(clock.monotonic()), 15);
    await Promise.all([clock.advance(10), clock.advance(10)]);
    expect(fired).toEqual([15]);
    expect(clock.monotonic()).toBe(20);
  });

  it('rejects with the error of a timer, and can go on', async () => {
    const clock = new VirtualClock();
    clock.setTimer(() => {
      throw new RangeError('broken');
    }, 5);
    await expect(clock.advance(10)).rejects.toThrow(RangeError);
    await clock.advance(10);
    expect(clock.monotonic()).toBe(15);
  });

  it('reports timers that set each other at one instant for ever', async () => {
    const clock = new VirtualClock();
    const again = (): void => {
      clock.setTimer(again, 0);
    };
    again();
    await expect(clock.advance(1)).rejects.toThrow('timers go on setting each other');
  });

  it('reports turns that cause each other for ever', async () => {
    const clock = new VirtualClock();
    let over = false;
    const again = (): void => {
      if (!over) clock.nextTurn(again);
    };
    again();
    await expect(clock.settle()).rejects.toThrow('turns of the event loop go on');
    over = true;
  });

  it.each([
    ['startAt', () => new VirtualClock({ startAt: NaN })],
    ['startAt', () => new VirtualClock({ startAt: new Date('x') })],
    ['start', () => new VirtualClock({ start: 5 } as never)],
    ['delayMs', () => new VirtualClock().setTimer(() => {}, -1)],
    ['delayMs', () => new VirtualClock().setTimer(() => {}, NaN)],
    // The machine's own timers would fire at once.
    ['delayMs', () => new VirtualClock().setTimer(() => {}, 2 ** 31)],
    ['ms', () => new VirtualClock().step(Infinity)],
    ['ms', () => new VirtualClock().sleep(-1)],
  ])('refuses wrong arguments by name (%#: %s)', (option, call) => {
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option }));
  });

  it('refuses to go back', async () => {
    const clock = new VirtualClock();
    await expect(clock.advance(-1)).rejects.toBeInstanceOf(InvalidOptionError);
    await expect(clock.advance(NaN)).rejects.toBeInstanceOf(InvalidOptionError);
  });
});

describe('the wall clock of a virtual clock', () => {
  it('is set forward and back without any timer noticing', async () => {
    const clock = new VirtualClock({ startAt: 1e12 });
    let fired = false;
    clock.setTimer(() => {
      fired = true;
    }, 10);
    clock.step(DAY_MS);
    expect([clock.now(), clock.monotonic()]).toEqual([1e12 + DAY_MS, 0]);
    clock.step(-2 * DAY_MS);
    expect([clock.now(), clock.monotonic()]).toEqual([1e12 - DAY_MS, 0]);
    await clock.settle();
    expect(fired).toBe(false);
    await clock.advance(10);
    expect(fired).toBe(true);
    expect(clock.now()).toBe(1e12 - DAY_MS + 10);
  });

  it('goes on alone while the machine sleeps', async () => {
    const clock = new VirtualClock({ startAt: 1e12 });
    let fired = false;
    clock.setTimer(() => {
      fired = true;
    }, 10);
    clock.sleep(DAY_MS);
    await clock.advance(9);
    expect([clock.now(), clock.monotonic(), fired]).toEqual([1e12 + DAY_MS + 9, 9, false]);
  });
});

describe('stores in virtual time', () => {
  interface Token {
    readonly token: string;
  }

  it('need no advance for work that takes no time', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    await using store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory });
    await store.ready();
    await store.save({ token: 'one' });
    expect(store.current?.credentials).toEqual({ token: 'one' });
    expect(clock.monotonic()).toBe(0);
  });

  it('have decoded their hints once the clock has settled', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    const inMicrotasks = async (bytes: Buffer): Promise<Token> => {
      for (let n = 0; n < 100; n += 1) await Promise.resolve();
      return { token: bytes.toString() };
    };
    await using store = new MemoryCredentialStore<Token>({
      key: 'k',
      memory: memory,
      serialize: ({ token }) => token,
      deserialize: inMicrotasks,
    });
    await store.ready();
    memory.set('k', 'one');
    await clock.settle();
    expect(store.current?.credentials).toEqual({ token: 'one' });
  });

  it.each([
    ['30 days', 30 * DAY_MS],
    ['more than 2^31 milliseconds', 2 ** 31 + 60_000],
    ['ten years', 3_650 * DAY_MS],
  ])('pass through %s quickly, and expire then and not before', async (_name, ttlMs) => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    await using store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory });
    const emitted: string[] = [];
    store.on('change', ({ type }) => emitted.push(type));
    await store.ready();
    memory.set('k', '{"token":"one"}', { ttlMs });
    const startedAt = performance.now();
    await clock.advance(ttlMs - 100_000);
    expect(emitted).toEqual(['saved']);
    await clock.advance(100_001);
    expect(emitted).toEqual(['saved', 'expired']);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(clock.pendingTimers).toBe(0);
  });
});
