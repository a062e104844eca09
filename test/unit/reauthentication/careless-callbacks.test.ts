import { inspect } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { both } from '../../support/both.js';
import { makeCanary } from '../../integration/canary.js';
import { HOUR, type Instance, type InstanceOptions, type Token, watch, World } from './world.js';

let world: World;
const rejections: unknown[] = [];
const noted = (reason: unknown): void => {
  rejections.push(reason);
};
beforeEach(() => process.on('unhandledRejection', noted));
afterEach(async () => {
  await world.close();
  process.off('unhandledRejection', noted);
  expect(rejections).toEqual([]);
});

/** An instance whose credentials were just rejected. */
async function needy(options: InstanceOptions): Promise<Instance> {
  world = new World(options);
  await world.put('old', HOUR);
  const instance = await world.instance();
  instance.auth.reject(await instance.auth.snapshot());
  await world.clock.settle();
  return instance;
}

const fail = (error: unknown) => (): never => {
  throw error;
};

/** As a careless caller does: with anything. */
async function rejected(reason: unknown): Promise<never> {
  await Promise.resolve();
  throw reason;
}

describe('a `refresh` or `login`', () => {
  it.each<[string, () => unknown]>([
    ['throws', fail(new Error('sync'))],
    ['throws nothing', fail(undefined)],
    ['rejects with null', () => rejected(null)],
    ['rejects with a string', () => rejected('refused')],
    ['returns a thenable that throws', () => ({ then: fail(new Error('then')) })],
  ])('that %s fails, and is called again later', async (_name, fn) => {
    let calls = 0;
    const instance = await needy({
      ...both(() => {
        calls += 1;
        return calls === 1 ? (fn() as Token) : { token: 'new' };
      }),
    });
    expect(instance.auth.state).toMatchObject({ type: 'backing-off', failures: 1 });
    expect(instance.auth.counts).toMatchObject({ calls: 1, failed: 1, discarded: 0 });
    await world.clock.advance(1_000);
    expect(world.stored).toBe('new');
  });

  it.each<[string, InstanceOptions['store'], unknown, string | undefined]>([
    ['cannot be serialized', {}, { token: 1n }, undefined],
    [
      'cannot be read back',
      {
        serialize: (token) => JSON.stringify(token),
        deserialize: (bytes) => {
          if (bytes.includes('unreadable')) throw new Error('unreadable');
          return JSON.parse(bytes.toString()) as Token;
        },
      },
      { token: 'unreadable' },
      'deserialize',
    ],
    ['is too large', { maxBytes: 100 }, { token: 'x'.repeat(100) }, undefined],
    ['has an absurd end', {}, { token: 'x', expiresAt: 5 }, undefined],
    [
      'would be removed too early',
      { ttlSeconds: () => 1 },
      { token: 'x', expiresAt: 3e12 },
      undefined,
    ],
  ])(
    'whose result %s gets it back, and a good credential is kept',
    async (_name, store, brought, where) => {
      const discarded: unknown[] = [];
      const instance = await needy({
        store: store!,
        ...both(() => brought as Token),
        onDiscarded: (credentials, reason) => discarded.push([credentials, reason]),
      });
      expect(discarded).toEqual([[brought, 'unusable']]);
      expect(world.stored).toBe('old');
      expect(instance.auth.state).toMatchObject({ type: 'halted', reason: 'program' });
      if (where !== undefined) expect(instance.callbackErrors.map(([, at]) => at)).toContain(where);
    },
  );

  it('that returns an expired credential is called again only after a pause that grows', async () => {
    let calls = 0;
    const instance = await needy({
      ...both(() => {
        calls += 1;
        return { token: `expired ${String(calls)}`, expiresAt: world.clock.now() - 1_000 };
      }),
    });
    const asked = watch(instance.auth.credentials({ timeoutMs: 10_000 }));
    for (const [n, pauseMs] of [1_000, 2_000, 4_000].entries()) {
      expect(world.stored).toBe(`expired ${String(n + 1)}`);
      expect(instance.auth.state).toMatchObject({ type: 'backing-off', failures: n + 1 });
      await world.clock.advance(pauseMs - 1);
      expect(calls).toBe(n + 1);
      await world.clock.advance(1);
    }
    // The next pause of 8 s is longer than the caller would wait.
    expect(asked.error).toMatchObject({ reason: 'backing-off', failures: 4, retryable: true });
  });

  it('that never settles blocks no caller for ever', async () => {
    const instance = await needy(both(() => new Promise(() => undefined)));
    const asked = watch(instance.auth.credentials({ timeoutMs: 40_000 }));
    await world.clock.advance(40_000);
    expect(asked.error).toMatchObject({ code: 'TIMEOUT' });
    expect(instance.auth.counts).toMatchObject({ calls: 2, unanswered: 1 });
  });

  it('that saves its own result does no harm', async () => {
    const saved = { token: 'new' };
    const instance = await needy({
      ...both(async () => {
        await world.instances[0]!.store.save(saved);
        return saved;
      }),
    });
    expect(world.stored).toBe('new');
    expect(instance.auth.counts).toMatchObject({ committed: 1, discarded: 0 });
    expect(instance.auth.state.type).toBe('idle');
  });

  it('that saves other credentials gets its result back', async () => {
    const discarded: unknown[] = [];
    await needy({
      ...both(async () => {
        await world.instances[0]!.store.save({ token: 'saved' });
        return { token: 'returned' };
      }),
      onDiscarded: ({ token }, reason) => discarded.push([token, reason]),
    });
    expect(world.stored).toBe('saved');
    expect(discarded).toEqual([['returned', 'conflict']]);
    await world.clock.advance(HOUR / 2);
    expect(world.stored).toBe('saved');
  });

  it('that waits for itself waits until its deadline, and its signal aborts', async () => {
    let reason: unknown;
    const instance = await needy({
      attemptTimeoutMs: 5_000,
      ...both(({ signal, attempt }) => {
        if (attempt > 1) return { token: 'new' };
        signal.addEventListener('abort', () => {
          reason = signal.reason;
        });
        return world.instances[0]!.auth.credentials({ signal });
      }),
    });
    await world.clock.advance(4_999);
    expect(reason).toBeUndefined();
    await world.clock.advance(1);
    expect(inspect(reason)).toContain('attemptTimeoutMs');
    await world.clock.advance(1_000);
    expect(await instance.auth.credentials()).toEqual({ token: 'new' });
  });

  it('that closes its own store ends with it', async () => {
    const instance = await needy({
      drainMs: 1_000,
      ...both(async () => {
        await world.instances[0]!.store.close();
        return { token: 'new' };
      }),
    });
    await world.clock.advance(1_000);
    expect(instance.auth.state.type).toBe('closed');
    expect(world.stored).toBe('old');
  });
});

describe('a listener that throws', () => {
  it.each<[string, InstanceOptions]>([
    ['onFailure', { onFailure: fail('careless') }],
    ['onFailure', { onFailure: () => rejected('careless') }],
    ['isFatal', { isFatal: fail('careless') }],
  ])('as %s is reported to onCallbackError, and nothing else happens', async (where, options) => {
    const instance = await needy({ ...options, ...both(fail(new Error('down'))) });
    expect(instance.callbackErrors).toEqual([['careless', where]]);
    expect(instance.auth.state.type).toBe('backing-off');
  });

  it.each<[string, () => unknown]>([
    ['throws', fail('careless')],
    ['rejects', () => rejected('careless')],
  ])('as onDiscarded %s is reported in the same way', async (_how, onDiscarded) => {
    const instance = await needy({
      onDiscarded,
      ...both(async () => {
        await world.person.save({ token: 'other' });
        return { token: 'new' };
      }),
    });
    expect(instance.callbackErrors).toEqual([['careless', 'onDiscarded']]);
    expect(instance.auth.state.type).toBe('idle');
  });
});

describe('a secret', () => {
  it('is shown by the credentials themselves only', async () => {
    const [old, brought, error] = [makeCanary(), makeCanary(), makeCanary()];
    world = new World({ isFatal: () => true });
    await world.put(old.text, HOUR);
    const instance = await world.instance();
    const snapshot = await instance.auth.snapshot();
    instance.auth.reject(snapshot);
    const errors: unknown[] = [];
    await world.clock.settle();
    const { request } = world.call(1);
    await world.fail(1, Object.assign(new Error(error.text), { error: error.text }));
    errors.push(await instance.auth.credentials().catch((reason: unknown) => reason));
    await world.put(brought.text, HOUR);
    const asked = watch(instance.auth.credentials({ minValidityMs: 2 * HOUR, timeoutMs: 100 }));
    await world.clock.advance(100);
    errors.push(asked.error);
    const shown = [
      instance.auth,
      instance.states,
      errors,
      snapshot,
      snapshot.signal.reason,
      request.signal.reason,
      world.record,
      instance.auth.counts,
    ];
    expect(errors).toHaveLength(2);
    expect(instance.states.map(({ type }) => type)).toContain('failed');
    for (const canary of [old, brought, error])
      for (const one of shown) expect(canary.find(one)).toEqual([]);
    await world.person.clear();
  });
});
