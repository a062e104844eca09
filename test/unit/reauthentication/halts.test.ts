import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EncodeError } from 'credstream';

import { both } from '../../support/both.js';
import { HOUR, type InstanceOptions, type Token, watch, World } from './world.js';

const CANARY = 'CANARY-secret';

let world: World;
afterEach(() => world.close());

const warnings: string[] = [];
const listen = ({ message }: Error): void => void warnings.push(message);
beforeEach(() => {
  warnings.length = 0;
  process.on('warning', listen);
  return () => process.off('warning', listen);
});
/** Node tells of warnings in a later turn. */
const warned = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An instance whose credentials have ended. */
async function ended(options: InstanceOptions = {}, random?: () => number) {
  world = new World({ jitter: 0, ...options }, random);
  await world.put('old', -1_000);
  return world.instance();
}

const mistake = (): never => {
  const answer = undefined as unknown as { readonly [CANARY]: string };
  return answer[CANARY] as never;
};
const wrongSecret = Object.assign(new Error(CANARY), { error: 'invalid_client', status: 401 });

describe('a mistake in the program', () => {
  it('is told at once, with its class and line, and nothing more is asked', async () => {
    let calls = 0;
    const { auth } = await ended({
      ...both(() => {
        calls += 1;
        return mistake();
      }),
    });
    const first = watch(auth.credentials());
    await world.clock.settle();
    expect(first.error).toMatchObject({
      code: 'REAUTHENTICATION_FAILED',
      reason: 'program',
      id: 'k',
      retryable: false,
      message: expect.stringMatching(
        /^refresh of "k" threw TypeError at mistake \(.*halts\.test\.ts:\d+:\d+\)$/,
      ) as string,
    });
    expect(auth.state).toMatchObject({ type: 'halted', reason: 'program', attempt: 1 });
    const second = watch(auth.credentials());
    await world.clock.advance(HOUR);
    expect(second.error).toMatchObject({ reason: 'program' });
    expect(calls).toBe(1);
    await warned();
    const [warning, ...more] = warnings.filter((one) => one.includes('refresh of "k"'));
    expect(more).toEqual([]);
    expect(warning).toMatch(
      /^refresh of "k" threw TypeError at mistake .*; this instance makes no/,
    );
    expect(JSON.stringify([first.error, auth.state, warnings])).not.toContain(CANARY);
  });

  it('is no warning where onFailure is given', async () => {
    const failures: unknown[] = [];
    await ended({ ...both(mistake), onFailure: (error, fatal) => failures.push([error, fatal]) });
    await world.clock.settle();
    await warned();
    expect(failures).toEqual([[expect.any(TypeError), false]]);
    expect(warnings.filter((one) => one.includes('refresh'))).toEqual([]);
  });

  it('holds up no other instance, and ends with new credentials', async () => {
    const { auth } = await ended(both(mistake));
    await world.clock.advance(1_000);
    const other = await world.instance(both(() => ({ token: 'new' })));
    const asked = watch(other.auth.credentials());
    await world.clock.advance(1_000);
    expect(asked.value).toEqual({ token: 'new' });
    expect(auth.state).toEqual({ type: 'idle' });
    expect(await auth.credentials()).toEqual({ token: 'new' });
  });

  it('may be a result that is missing', async () => {
    const { auth } = await ended(both(() => undefined as unknown as Token));
    const asked = watch(auth.credentials());
    await world.clock.settle();
    expect(asked.error).toMatchObject({ reason: 'program' });
  });

  it.each<[string, Token, unknown]>([
    ['cannot be serialized', { token: 1n as never }, expect.any(EncodeError)],
    ['has an end in seconds', { token: 'x', expiresAt: 1.9e9 }, expect.any(EncodeError)],
  ])('may be a result that %s: the next attempt is in doubt', async (_name, brought, cause) => {
    const { auth } = await ended(both(() => brought));
    const asked = watch(auth.credentials());
    await world.clock.settle();
    expect(asked.error).toMatchObject({ reason: 'program', cause });
    expect(auth.counts).toMatchObject({ calls: 1, failed: 1, discarded: 1 });
    const doubts: boolean[] = [];
    await world.clock.advance(1_000);
    await world.instance(
      both(({ inDoubt }) => {
        doubts.push(inDoubt);
        return { token: 'new' };
      }),
    );
    await world.clock.settle();
    expect(doubts).toEqual([true]);
  });
});

describe('a client that the provider refuses', () => {
  it('halts its instance only, which tries again later', async () => {
    let calls = 0;
    const { auth } = await ended({
      ...both(() => {
        calls += 1;
        throw wrongSecret;
      }),
      maxBackOffMs: 30_000,
    });
    const asked = watch(auth.credentials());
    await world.clock.settle();
    expect(asked.error).toMatchObject({ reason: 'client', oauthError: 'invalid_client' });
    expect(auth.state).toMatchObject({
      type: 'halted',
      reason: 'client',
      oauthError: 'invalid_client',
      nextAt: world.clock.now() + 30_000,
    });
    expect(JSON.stringify([asked.error, auth.state])).not.toContain(CANARY);
    await world.clock.advance(29_999);
    expect(calls).toBe(1);
    await world.clock.advance(1_000);
    expect(calls).toBe(2);
    const other = await world.instance(both(() => ({ token: 'new' })));
    const served = watch(other.auth.credentials());
    await world.clock.advance(1_000);
    expect(served.value).toEqual({ token: 'new' });
    expect(auth.state).toEqual({ type: 'idle' });
  });

  it('leaves no timer behind when it is refused while its instance closes', async () => {
    world = new World({ jitter: 0 });
    await world.put('old', -1_000);
    const { auth, store, states } = await world.instance();
    const closing = auth.close();
    await world.fail(1, wrongSecret);
    await closing;
    await store.close();
    await world.person.close();
    await world.clock.settle();
    expect(states.map(({ type }) => type)).not.toContain('halted');
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('is no longer fatal for the cluster', async () => {
    const { auth } = await ended(
      both(() => {
        throw wrongSecret;
      }),
    );
    expect(auth.counts).toMatchObject({ fatal: 0, failed: 1 });
    expect(world.record).toMatchObject({ outcome: 'failed', failures: 0 });
  });
});

describe('a failure of the provider', () => {
  it('pauses all instances for as long as the provider asks', async () => {
    const headers = new Headers({ 'retry-after': '120' });
    const { auth } = await ended();
    await world.fail(1, Object.assign(new Error('429'), { status: 429, headers }));
    expect(auth.state).toMatchObject({ nextAt: world.clock.now() + 120_000, failures: 1 });
    await world.clock.advance(119_999);
    expect(world.calls).toHaveLength(1);
    await world.clock.advance(1);
    await world.answer(2, 'new');
  });

  it('is told at once to a caller that would give up before the next attempt', async () => {
    const { auth } = await ended({ backOffMs: 20_000, maxBackOffMs: 20_000 });
    const patient = watch(auth.credentials({ timeoutMs: 60_000 }));
    await world.fail(1, new Error(CANARY));
    const nextAt = world.clock.now() + 20_000;
    const known = { reason: 'backing-off', failures: 1, nextAt, retryable: true, id: 'k' };
    const asked = watch(auth.credentials({ timeoutMs: 5_000 }));
    await world.clock.settle();
    expect(asked.error).toMatchObject(known);
    expect(String(asked.error)).not.toContain(CANARY);
    expect(patient.settled).toBe(false);
    await world.clock.advance(20_000);
    await world.answer(2, 'new');
    expect(patient.value).toEqual({ token: 'new' });
  });

  it('leaves the next attempt in doubt when the answer was lost', async () => {
    await ended();
    await world.fail(1, Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    await world.clock.advance(1_000);
    expect(world.call(2).request).toMatchObject({ inDoubt: false });
    await world.fail(2, Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
    await world.clock.advance(2_000);
    expect(world.call(3).request).toMatchObject({ inDoubt: true });
    await world.answer(3, 'new');
  });
});
