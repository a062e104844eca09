import { EventEmitter } from 'node:events';

import { Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { collect, deferred, eventually, nextEvent } from '../../support/wait.js';

describe('eventually', () => {
  it('tries until the check passes, and returns its result', async () => {
    let tries = 0;
    const check = async (): Promise<string> => {
      tries += 1;
      expect(tries).toBe(3);
      return 'done';
    };
    expect(await eventually(check)).toBe('done');
  });

  it('fails with the last failure at the deadline', async () => {
    let tries = 0;
    const check = (): never => {
      tries += 1;
      throw new Error(`try ${tries}`);
    };
    const failure = await eventually(check, { timeoutMs: 40 }).catch((error: unknown) => error);
    expect(failure).toEqual(new Error(`try ${tries}`));
    expect(tries).toBeGreaterThan(1);
  });

  it('treats false as not yet', async () => {
    await expect(eventually(() => false, { timeoutMs: 20 })).rejects.toThrow('still false');
    let open = false;
    setImmediate(() => (open = true));
    await eventually(() => open);
  });

  it('does not wait for a check that hangs', async () => {
    const hanging = eventually(() => new Promise<void>(() => {}), { timeoutMs: 20 });
    await expect(hanging).rejects.toThrow('had not settled');
  });

  it('reports the failure before the check that was cut off', async () => {
    let tries = 0;
    const check = (): Promise<never> => {
      tries += 1;
      return tries === 1 ? Promise.reject(new Error('wrong')) : new Promise(() => {});
    };
    await expect(eventually(check, { timeoutMs: 30 })).rejects.toThrow('wrong');
  });
});

describe('nextEvent', () => {
  it('returns the arguments of the next event, and stops listening', async () => {
    const emitter = new EventEmitter();
    const event = nextEvent(emitter, 'saved');
    emitter.emit('saved', 1, 2);
    expect(await event).toEqual([1, 2]);
    expect(emitter.listenerCount('saved')).toBe(0);
  });

  it('fails at the deadline, and stops listening', async () => {
    const emitter = new EventEmitter();
    const event = nextEvent(emitter, 'saved', { timeoutMs: 20 });
    await expect(event).rejects.toThrow('no event saved within 20 ms');
    expect(emitter.listenerCount('saved')).toBe(0);
  });
});

describe('collect', () => {
  it('returns past and future values, each once and in order', async () => {
    const source$ = new Subject<number>();
    const collected = collect(source$);
    for (const value of [1, 2, 1]) source$.next(value);
    expect(await collected.next((value) => value === 1)).toBe(1);
    expect(await collected.next((value) => value === 1)).toBe(1);
    const third = collected.next((value) => value === 1);
    source$.next(3);
    source$.next(1);
    expect(await third).toBe(1);
    expect(collected.values).toEqual([1, 2, 1, 3, 1]);
  });

  it('gives concurrent waiters different values', async () => {
    const source$ = new Subject<string>();
    const collected = collect(source$);
    const both = Promise.all([collected.next(), collected.next((value) => value === 'b')]);
    source$.next('b');
    source$.next('b');
    expect(await both).toEqual(['b', 'b']);
    await expect(collected.next(undefined, 10)).rejects.toThrow('2 arrived');
  });

  it('reports at the deadline the values that came instead', async () => {
    const source$ = new Subject<{ type: string }>();
    const collected = collect(source$);
    source$.next({ type: 'cleared' });
    const saved = collected.next(({ type }) => type === 'saved', 20);
    await expect(saved).rejects.toThrow(/within 20 ms, 1 arrived.*cleared/);
  });

  it('fails at once when the observable fails, completes or is stopped', async () => {
    const failing$ = new Subject<number>();
    const failed = collect(failing$);
    const pending = failed.next();
    failing$.error(new Error('broken'));
    await expect(pending).rejects.toThrow('broken');
    await expect(failed.next()).rejects.toThrow('broken');
    expect(failed.error).toEqual(new Error('broken'));

    const completing$ = new Subject<number>();
    const completed = collect(completing$);
    completing$.complete();
    await expect(completed.next()).rejects.toThrow('completed');
    expect(completed.completed).toBe(true);

    const stopping$ = new Subject<number>();
    const stopped = collect(stopping$);
    stopped.stop();
    expect(stopping$.observed).toBe(false);
    await expect(stopped.next()).rejects.toThrow('stopped');
  });
});

describe('deferred', () => {
  it('is settled from outside', async () => {
    const resolved = deferred<number>();
    resolved.resolve(1);
    expect(await resolved.promise).toBe(1);
    const rejected = deferred();
    rejected.reject(new Error('no'));
    await expect(rejected.promise).rejects.toThrow('no');
  });
});
