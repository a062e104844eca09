import { getEventListeners, setMaxListeners } from 'node:events';

import { afterEach, describe, expect, it } from 'vitest';

import { HOUR, type Instance, watch, World } from './world.js';

let world: World;
let instance: Instance;
afterEach(() => world.close());

async function open(inMs?: number | 'absent', ...options: ConstructorParameters<typeof World>) {
  world = new World(...options);
  if (inMs !== 'absent') await world.put('old', inMs);
  instance = await world.instance();
  return instance.auth;
}

describe('a waiter for credentials', () => {
  it('gets valid credentials from memory, without a read', async () => {
    const auth = await open(HOUR);
    world.memory.disconnect();
    const snapshot = await auth.snapshot();
    expect(snapshot).toBe(instance.store.current);
    expect(await auth.credentials()).toBe(snapshot.credentials);
    expect(await auth.credentials({ minValidityMs: HOUR / 2 })).toBe(snapshot.credentials);
    expect(world.calls).toEqual([]);
    world.memory.reconnect();
  });

  it('gets the first observed credentials, when it comes before the first reading', async () => {
    world = new World();
    await world.put('old', HOUR);
    const asked = world.instance().then(({ auth }) => auth);
    expect(await (await asked).credentials()).toMatchObject({ token: 'old' });
    expect(world.calls).toEqual([]);
  });

  it('waits for the one re-authentication, with every other waiter', async () => {
    const auth = await open('absent');
    const [other] = await world.several(1);
    const asked = [auth, auth, other!.auth].map((one) => watch(one.credentials()));
    await world.clock.settle();
    expect(world.call(1).request).toMatchObject({ cause: 'absent' });
    expect(world.call(1).request).not.toHaveProperty('previous');
    await world.answer(1, 'new', HOUR);
    for (const one of asked) expect(one.value).toMatchObject({ token: 'new' });
    await world.clock.advance(120_000);
    expect(world.calls).toHaveLength(1);
    expect([auth.state.type, other!.auth.state.type]).toEqual(['idle', 'idle']);
  });

  it('accepts credentials that another client saves meanwhile, and none are fetched then', async () => {
    const auth = await open('absent');
    await world.startAndDie('held', HOUR);
    const asked = watch(auth.credentials());
    await world.clock.settle();
    expect(auth.state.type).toBe('waiting');
    await world.put('saved', HOUR);
    expect(asked.value).toMatchObject({ token: 'saved' });
    expect(auth.state.type).toBe('idle');
    await world.clock.advance(HOUR / 2);
    expect(world.calls).toEqual([]);
  });

  it('accepts the credentials that are stored after an outage, and none are fetched then', async () => {
    world = new World();
    world.memory.disconnect();
    instance = await world.instance();
    const asked = watch(instance.auth.credentials());
    await world.clock.advance(5_000);
    world.memory.set('k', JSON.stringify(world.token('found', HOUR)));
    world.memory.reconnect();
    await world.clock.advance(5_000);
    expect(asked.value).toMatchObject({ token: 'found' });
    expect(world.calls).toEqual([]);
    expect(world.record).toBeUndefined();
  });

  it('waits for credentials that are valid long enough', async () => {
    const auth = await open(HOUR);
    const asked = watch(auth.credentials({ minValidityMs: 2 * HOUR }));
    await world.clock.settle();
    expect(asked.settled).toBe(false);
    expect(world.call(1).request.cause).toBe('expiring');
    expect(await auth.credentials()).toMatchObject({ token: 'old' });
    await world.answer(1, 'new', 3 * HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('is rejected when even the new credentials end too early, and no attempt follows', async () => {
    const auth = await open(HOUR);
    const asked = watch(auth.credentials({ minValidityMs: 2 * HOUR }));
    await world.clock.settle();
    await world.answer(1, 'new', HOUR + 1);
    expect(asked.error).toMatchObject({
      code: 'REAUTHENTICATION_FAILED',
      reason: 'short-lived',
      oauthError: undefined,
      retryable: false,
    });
    await world.clock.advance(120_000);
    expect(world.calls).toHaveLength(1);
  });

  it('waits no longer than timeoutMs, by call or by option, and no attempt follows for it then', async () => {
    const auth = await open('absent', { timeoutMs: 7_000, attemptTimeoutMs: HOUR / 2 });
    const [byOption, byCall] = [auth.credentials(), auth.credentials({ timeoutMs: 500 })].map(
      (one) => watch(one),
    );
    await world.clock.advance(499);
    expect(byCall!.settled).toBe(false);
    await world.clock.advance(1);
    expect(byCall!.error).toMatchObject({ code: 'TIMEOUT', timeoutMs: 500, retryable: true });
    await world.clock.advance(6_500);
    expect(byOption!.error).toMatchObject({ code: 'TIMEOUT', timeoutMs: 7_000 });
    await world.fail(1, new Error('provider down'));
    await world.clock.advance(120_000);
    expect(world.calls).toHaveLength(1);
    expect(auth.state.type).toBe('idle');
  });

  it('learns at once of a pause that is longer than it would wait, and leaves the state idle', async () => {
    const auth = await open('absent', { backOffMs: HOUR / 4 });
    const asked = watch(auth.credentials({ timeoutMs: 1_000 }));
    await world.clock.settle();
    await world.fail(1, new Error('provider down'));
    expect(asked.error).toMatchObject({ reason: 'backing-off', failures: 1 });
    expect(auth.state.type).toBe('idle');
  });

  it('may stop waiting, and leaves no listener behind', async () => {
    const auth = await open('absent');
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const reason = new Error('enough');
    const asked = Array.from({ length: 20 }, () =>
      watch(auth.credentials({ signal: controller.signal })),
    );
    await world.clock.settle();
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(20);
    controller.abort(reason);
    await world.clock.settle();
    for (const { error } of asked) expect(error).toBe(reason);
    await expect(auth.credentials({ signal: controller.signal })).rejects.toBe(reason);
    const fine = new AbortController();
    const waiting = watch(auth.credentials({ signal: fine.signal }));
    await world.answer(1, 'new', HOUR);
    expect(waiting.value).toMatchObject({ token: 'new' });
    expect(getEventListeners(fine.signal, 'abort')).toHaveLength(0);
  });

  it('leaves nothing behind when ten thousand fail', async () => {
    const auth = await open('absent');
    const asked = Array.from({ length: 10_000 }, (_, n) =>
      watch(auth.credentials({ timeoutMs: 1_000 + (n % 10) })),
    );
    await world.clock.settle();
    await world.fail(1, Object.assign(new Error(), { error: 'invalid_grant' }));
    expect(asked.every(({ error }) => (error as { reason?: string }).reason === 'fatal')).toBe(
      true,
    );
    const timers = world.clock.pendingTimers;
    const more = Array.from({ length: 10_000 }, () => watch(auth.credentials()));
    await world.clock.settle();
    expect(more.every(({ error }) => error !== undefined)).toBe(true);
    expect(world.clock.pendingTimers).toBe(timers);
    expect(world.calls).toHaveLength(1);
  });

  it.each([
    [{ minValidityMs: -1 }, 'minValidityMs'],
    [{ minValidityMs: NaN }, 'minValidityMs'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ timeoutMs: '5' }, 'timeoutMs'],
    [{ signal: {} }, 'signal'],
    [{ minValidity: 5 }, 'minValidity'],
    ['soon', 'options'],
  ])('is refused with the reason for %j', async (options, option) => {
    const auth = await open(HOUR);
    for (const call of [
      () => auth.credentials(options as never),
      () => auth.snapshot(options as never),
      () => auth.use(() => undefined, options as never),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'INVALID_OPTION', option });
  });
});
