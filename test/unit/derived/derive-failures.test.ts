import { describe, expect, it } from 'vitest';

import { CredentialMemory, derive, MemoryCredentialStore, TimeoutError } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred } from '../../support/wait.js';
import { deriveWorld, outcomeOf } from './derive-world.js';

describe('a create that fails', () => {
  it('is called again, with growing pauses, and the failure shows without its message', async () => {
    const { clock, derived, calls, reported, save } = deriveWorld({ manual: true });
    await save('one');
    const got = outcomeOf(derived.get({ timeoutMs: Infinity }));
    await clock.settle();
    const secret = new Error('canary-7d10');
    calls[0]!.reject(secret);
    await clock.settle();
    expect(derived.state).toEqual({
      type: 'failed',
      reason: 'threw',
      failures: 1,
      nextAt: clock.now() + 1_000,
      servesPrevious: false,
    });
    expect(JSON.stringify(derived.state)).not.toContain('canary');
    expect(reported).toEqual([{ error: secret, where: 'create of a derived value' }]);
    const pauses: number[] = [];
    for (let failures = 1; failures <= 9; failures += 1) {
      const before = clock.now();
      while (calls.length === failures) await clock.advance(500);
      pauses.push(clock.now() - before);
      calls[failures]!.reject(undefined);
      await clock.settle();
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000));
    expect(got).toEqual({});
    await clock.advance(60_000);
    const client = await calls[10]!.build();
    expect([got.value, derived.current, derived.state.type]).toEqual([client, client, 'ready']);
  });

  it('is called again after pauses that jitter shortens', async () => {
    const { clock, derived, calls, save } = deriveWorld({
      manual: true,
      random: () => 1,
    });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(1);
    await clock.advance(499);
    expect(calls.length).toBe(1);
    await clock.advance(1);
    expect(calls.length).toBe(2);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('canary-7d10');
      },
    ],
    [
      'throws what is no error',
      () => {
        const reason: unknown = 'canary-7d10';
        throw reason;
      },
    ],
    [
      'gives a thenable that throws',
      () => ({
        then: () => {
          throw new Error('canary-7d10');
        },
      }),
    ],
  ])('may be one that %s', async (_name, fail) => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    await using store = new MemoryCredentialStore<string>({ key: 'k', memory: memory });
    await store.save('one');
    let calls = 0;
    await using derived = derive<string, unknown>(
      store,
      () => {
        calls += 1;
        return calls === 1 ? fail() : 'built';
      },
      { onCallbackError: () => undefined },
    );
    const got = outcomeOf(derived.get());
    await clock.settle();
    expect([got, derived.state]).toMatchObject([{}, { type: 'failed', reason: 'threw' }]);
    await clock.advance(1_000);
    expect(got.value).toBe('built');
  });

  it('is abandoned when it does not settle, and its late value is disposed of', async () => {
    const { clock, derived, calls, clients, reported, save } = deriveWorld({
      manual: true,
      derive: { createTimeoutMs: 200, getTimeoutMs: Infinity },
    });
    await save('one');
    const got = outcomeOf(derived.get());
    await clock.advance(199);
    expect([derived.state.type, calls[0]!.context.signal.aborted]).toEqual(['building', false]);
    await clock.advance(1);
    expect(derived.state).toMatchObject({ type: 'failed', reason: 'timeout', failures: 1 });
    expect(reported[0]?.error).toBeInstanceOf(TimeoutError);
    expect(calls[0]!.context.signal.reason).toBe(reported[0]?.error);
    await calls[0]!.build();
    expect([got, clients[0]?.disposals, derived.current]).toEqual([{}, 1, undefined]);
    await clock.advance(1_000);
    const client = await calls[1]!.build();
    expect([got.value, client.disposals]).toEqual([client, 0]);
  });

  it('is not reported for a rejection after it was abandoned', async () => {
    const { clock, derived, calls, reported, save } = deriveWorld({
      manual: true,
      derive: { createTimeoutMs: 200 },
    });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.advance(200);
    calls[0]!.reject(new Error('too late'));
    await clock.settle();
    expect([derived.state, reported.length]).toMatchObject([{ failures: 1 }, 1]);
    await clock.advance(1_000);
    await save('two');
    calls[1]!.reject(calls[1]!.context.signal.reason);
    await clock.settle();
    expect([derived.state, reported.length]).toMatchObject([{ type: 'building', attempt: 1 }, 1]);
  });

  it('starts over with a new credential', async () => {
    const { clock, derived, calls, save } = deriveWorld({ manual: true });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(1);
    await clock.advance(1_000);
    calls[1]!.reject(1);
    await clock.settle();
    expect(derived.state).toMatchObject({ type: 'failed', failures: 2 });
    await save('two');
    expect([calls.length, derived.state]).toMatchObject([3, { type: 'building', attempt: 1 }]);
    calls[2]!.reject(1);
    await clock.settle();
    expect(derived.state).toMatchObject({ failures: 1, nextAt: clock.now() + 1_000 });
    await clock.advance(1_000);
    expect(calls.length).toBe(4);
  });

  it('warns the process without the message, unless a callback is given', async () => {
    const { clock, derived, calls, save } = deriveWorld({
      manual: true,
      derive: { onCallbackError: undefined },
    });
    const warned = deferred<Error>();
    process.once('warning', warned.resolve);
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(new Error('canary-7d10'));
    const warning = await warned.promise;
    expect([warning.name, warning.message]).toEqual([
      'CredstreamWarning',
      'a function of the caller threw: create of a derived value',
    ]);
  });
});
