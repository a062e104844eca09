import { describe, expect, it } from 'vitest';

import {
  CredentialMemory,
  deriveEach,
  InvalidOptionError,
  MemoryCredentialDirectory,
  ReauthenticatorPool,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { both, bothOf } from '../../support/both.js';
import { deferred, type Deferred } from '../../support/wait.js';

interface Token {
  readonly token: string;
}

function world() {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const directory = new MemoryCredentialDirectory<Token>({ prefix: 'app:', memory: memory });
  return { clock, memory, directory };
}

describe('a ReauthenticatorPool', () => {
  it('calls the provider for a bounded number of credentials at a time, for each once', async () => {
    const { clock, directory } = world();
    const calls = new Map<string, Deferred<void>>();
    let underWay = 0;
    let most = 0;
    const pool = new ReauthenticatorPool(directory, {
      concurrency: 3,
      ...bothOf(async (_request, id) => {
        underWay += 1;
        most = Math.max(most, underWay);
        const call = deferred();
        calls.set(id, call);
        await call.promise;
        underWay -= 1;
        return { token: `new ${id}` };
      }),
    });
    const ids = Array.from({ length: 10 }, (_, nth) => `t${String(nth)}`);
    const waiting = ids.flatMap((id) => [pool.credentials(id), pool.credentials(id)]);
    for (let done = 0; done < ids.length; done += 1) {
      await clock.settle();
      expect(calls.size).toBe(Math.min(done + 3, ids.length));
      calls.get([...calls.keys()][done]!)!.resolve();
    }
    const tokens = await Promise.all(waiting);
    expect(tokens.map(({ token }) => token)).toEqual(
      ids.flatMap((id) => [`new ${id}`, `new ${id}`]),
    );
    expect(most).toBe(3);
    await directory.close();
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes on when one provider call fails or is abandoned', async () => {
    const { clock, directory } = world();
    const pool = new ReauthenticatorPool(directory, {
      concurrency: 1,
      attemptTimeoutMs: 1_000,
      ...bothOf((_request, id) => {
        if (id === 'broken') throw new Error('no');
        if (id === 'silent') return new Promise<never>(() => undefined);
        return { token: id };
      }),
    });
    const settled = ['silent', 'broken', 'good'].map((id) =>
      pool.credentials(id, { timeoutMs: 1_500 }).then(
        ({ token }) => token,
        (error: unknown) => (error instanceof Error ? error.name : error),
      ),
    );
    await clock.advance(1_600);
    expect(await Promise.all(settled)).toEqual([
      'ReauthenticationError',
      'ReauthenticationError',
      'good',
    ]);
    const closing = pool.close();
    await clock.advance(11_000);
    await closing;
    await directory.close();
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('releases a credential that waits for its call at once, and its call goes to the next one', async () => {
    const { clock, directory } = world();
    const first = deferred();
    const called: string[] = [];
    const pool = new ReauthenticatorPool(directory, {
      concurrency: 1,
      ...bothOf(async (_request, id) => {
        called.push(id);
        if (id === 'a') await first.promise;
        return { token: id };
      }),
    });
    const codes = ['a', 'b', 'c'].map((id) =>
      pool.credentials(id).then(
        ({ token }) => token,
        (error: unknown) => (error as { code?: string }).code,
      ),
    );
    await clock.settle();
    let isReleased = false;
    void pool.release('b').then(() => (isReleased = true));
    await clock.settle();
    expect([isReleased, called]).toEqual([true, ['a']]);
    first.resolve();
    expect(await Promise.all(codes)).toEqual(['a', 'CLOSED', 'c']);
    expect(called).toEqual(['a', 'c']);
    await directory.close();
  });

  it('ends idle reauthenticators, and keeps those in use', async () => {
    const { clock, directory } = world();
    const pool = new ReauthenticatorPool(directory, {
      idleMs: 10_000,
      ...bothOf((_request, id) => ({ token: id })),
    });
    await pool.credentials('a');
    const work = deferred();
    const using = pool.use('b', () => work.promise);
    await clock.settle();
    expect(pool.size).toBe(2);
    await clock.advance(9_000);
    await pool.credentials('a');
    await clock.advance(9_000);
    expect(pool.size).toBe(2);
    await clock.advance(20_000);
    expect(pool.size).toBe(1);
    work.resolve();
    await using;
    await clock.advance(20_000);
    expect(pool.size).toBe(0);
    expect((await pool.credentials('a')).token).toBe('a');
    await pool.release('a');
    expect(pool.size).toBe(0);
    await directory.close();
    await expect(pool.credentials('a')).rejects.toThrow(/closed/);
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('refuses wrong options and ids by name', async () => {
    const { directory } = world();
    const logIn = () => ({ token: 'x' });
    const make = (options: object) => () =>
      new ReauthenticatorPool(directory, { ...both(logIn), ...options });
    expect(make({ concurrency: 0 })).toThrow(/^concurrency:/);
    expect(make({ idleMs: 5 })).toThrow(/^idleMs:/);
    expect(make({ leaseMs: 1 })).toThrow(/^leaseMs:/);
    expect(make({ refresh: 7 })).toThrow(/^refresh:/);
    expect(make({ login: 7 })).toThrow(/^login:/);
    expect(make({ authenticate: logIn })).toThrow(/^authenticate: was renamed: give refresh/);
    expect(make({ other: 7 })).toThrow(/^other:/);
    expect(() => new ReauthenticatorPool<unknown>({} as never, both(logIn))).toThrow(/^directory:/);
    const pool = new ReauthenticatorPool(directory, both(logIn));
    await expect(pool.credentials('')).rejects.toThrow(InvalidOptionError);
    expect(pool.size).toBe(0);
  });
});

describe('deriveEach', () => {
  it('builds a value for each credential on demand, a bounded number at a time, and disposes of unused ones', async () => {
    const { clock, memory, directory } = world();
    for (const id of ['a', 'b', 'c']) memory.set(`app:${id}`, JSON.stringify({ token: id }));
    let underWay = 0;
    let most = 0;
    const disposed: string[] = [];
    const pool = deriveEach(
      directory,
      async ({ token }, { id }) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise<void>((resolve) => clock.nextTurn(resolve));
        underWay -= 1;
        return `${id}=${token}`;
      },
      { concurrency: 2, idleMs: 5_000, dispose: (value) => disposed.push(value) },
    );
    expect(pool.current('a')).toBeUndefined();
    const values = await Promise.all(['a', 'b', 'c'].map((id) => pool.get(id)));
    expect(values).toEqual(['a=a', 'b=b', 'c=c']);
    expect(most).toBe(2);
    memory.set('app:a', JSON.stringify({ token: 'two' }));
    await clock.settle();
    expect(pool.current('a')).toBe('a=two');
    await clock.advance(3_000);
    expect(await pool.use('a', (value) => value)).toBe('a=two');
    await clock.advance(60_000);
    expect(pool.size).toBe(0);
    expect(disposed.sort()).toEqual(['a=a', 'a=two', 'b=b', 'c=c']);
    await directory.close();
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('gives the permit of a call that never settles to the next one, and disposes of its late result', async () => {
    const { clock, memory, directory } = world();
    for (const id of ['silent', 'good', 'other'])
      memory.set(`app:${id}`, JSON.stringify({ token: id }));
    const late = deferred<string>();
    const disposed: string[] = [];
    let underWay = 0;
    let most = 0;
    const pool = deriveEach(
      directory,
      async (_credentials, { id }) => {
        if (id === 'silent') return late.promise;
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise<void>((resolve) => clock.nextTurn(resolve));
        underWay -= 1;
        return id;
      },
      {
        concurrency: 1,
        createTimeoutMs: 1_000,
        dispose: (value) => disposed.push(value),
        onCallbackError: () => undefined,
      },
    );
    const silent = pool.get('silent', { timeoutMs: 1_500 }).catch(() => 'nothing');
    await clock.advance(500);
    const others = ['good', 'other'].map((id) => pool.get(id));
    await clock.advance(500);
    expect(await Promise.all(others)).toEqual(['good', 'other']);
    await clock.advance(500);
    expect(await silent).toBe('nothing');
    const released = pool.release('silent');
    late.resolve('late');
    await released;
    expect(disposed).toEqual(['late']);
    await Promise.all(['good', 'other'].map((id) => pool.release(id)));
    // It was given back once, so that still only one is built at a time.
    await Promise.all(['good', 'other'].map((id) => pool.get(id)));
    expect(most).toBe(1);
    await directory.close();
  });
});
