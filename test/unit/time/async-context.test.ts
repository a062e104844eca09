import { AsyncLocalStorage } from 'node:async_hooks';

import { describe, expect, it, vi } from 'vitest';

import {
  abortInRootContext,
  AsyncContext,
  bindFunctions,
  bindToContext,
  inRootContext,
} from '../../../src/time/async-context.js';
import { systemClock } from '../../../src/time/clock.js';
import { rootClock } from '../../../src/time/root-clock.js';
import { VirtualClock } from '../../../src/testing/virtual-clock.js';

const requests = new AsyncLocalStorage<string>();
const request = (): string | undefined => requests.getStore();

describe('the root context', () => {
  it('belongs to nobody, and the caller goes on in its own', async () => {
    const seen = await requests.run('A', async () => {
      const inside = await inRootContext(async () => {
        await Promise.resolve();
        return request();
      });
      return [inside, request()];
    });
    expect(seen).toEqual([undefined, 'A']);
  });

  it('is empty also when this module is loaded in the middle of a request', async () => {
    vi.resetModules();
    const late = await requests.run('A', () => import('../../../src/time/async-context.js'));
    expect(late.inRootContext).not.toBe(inRootContext);
    expect(late.inRootContext(request)).toBeUndefined();
    expect(requests.run('B', () => late.inRootContext(request))).toBeUndefined();
  });

  it('is not changed by code that enters a context for good', () => {
    inRootContext(() => {
      requests.enterWith('A');
    });
    expect(inRootContext(request)).toBeUndefined();
  });

  it('passes an error on', () => {
    const fail = (): never => {
      throw new Error('one');
    };
    expect(() => inRootContext(fail)).toThrow('one');
    expect(requests.run('A', request)).toBe('A');
  });
});

describe('a bound function', () => {
  it('runs in the context in which it was bound, with its arguments and result', () => {
    const bound = requests.run('A', () =>
      bindToContext((a: number, b: number) => [request(), a + b]),
    );
    expect(requests.run('B', () => bound(1, 2))).toEqual(['A', 3]);
    expect(bound(1, 2)).toEqual(['A', 3]);
  });

  it('of options stands in a copy beside the other options', () => {
    const options = { name: 'one', call: request };
    const bound = requests.run('A', () => bindFunctions(options));
    expect(bound).toMatchObject({ name: 'one' });
    expect(requests.run('B', () => bound.call())).toBe('A');
    expect(options.call).toBe(request);
    const plain = { name: 'one' };
    expect(bindFunctions(plain)).toBe(plain);
  });
});

describe('two contexts', () => {
  it('are equal when they were captured in one request', () => {
    const [a, again] = requests.run('A', () => [AsyncContext.capture(), AsyncContext.capture()]);
    const b = requests.run('B', () => AsyncContext.capture());
    expect(a.equals(again)).toBe(true);
    expect(a.equals(b)).toBe(false);
    expect(a.equals(AsyncContext.empty())).toBe(false);
    expect(a.equals(a)).toBe(true);
  });
});

describe('timers and turns', () => {
  it('of the machine run in the root context', async () => {
    const seen = await requests.run('A', () =>
      Promise.all([
        new Promise((resolve) => systemClock.setTimer(() => resolve(request()), 1)),
        new Promise((resolve) => {
          systemClock.nextTurn(() => resolve(request()));
        }),
      ]),
    );
    expect(seen).toEqual([undefined, undefined]);
    expect(rootClock(systemClock)).toBe(systemClock);
  });

  it('of a clock of the caller do so in whichever context that clock fires them', async () => {
    const virtual = new VirtualClock();
    const clock = rootClock(virtual);
    const seen: unknown[] = [];
    const note = (): void => void seen.push(request() ?? 'nobody');
    const cancel = requests.run('A', () => {
      clock.setTimer(note, 10);
      clock.nextTurn(note);
      return clock.setTimer(note, 10);
    });
    cancel();
    await requests.run('B', () => virtual.advance(20));
    expect(seen).toEqual(['nobody', 'nobody']);
    expect([clock.now(), clock.monotonic()]).toEqual([virtual.now(), virtual.monotonic()]);
  });
});

it('listeners of a signal that is aborted for all run in the context of nobody', () => {
  const controller = new AbortController();
  const seen: unknown[] = [];
  requests.run('A', () => {
    controller.signal.addEventListener('abort', () => seen.push(request() ?? 'nobody'));
  });
  requests.run('B', () => {
    abortInRootContext(controller, 'why');
    abortInRootContext(controller, 'again');
  });
  expect(seen).toEqual(['nobody']);
  expect(controller.signal.reason).toBe('why');
});
