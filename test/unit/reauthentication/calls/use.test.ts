import { describe, expect, it } from 'vitest';

import { WithdrawnError } from 'credstream';

import { deferred } from '../../../support/wait.js';
import { HOUR, type Instance, World } from '../world.js';

const refused = { status: 401 };

/** An instance with valid credentials, and the world in which it lives. */
async function open(): Promise<{ readonly world: World } & Instance> {
  const world = new World();
  await world.put('old', HOUR);
  return { world, ...(await world.instance()) };
}

describe('use() beside a call that was refused', () => {
  it('goes on with its own call, which may still succeed', async () => {
    const { world, auth } = await open();
    const answer = deferred<string>();
    const signals: AbortSignal[] = [];
    const healthy = auth.use((_credentials, { signal }) => {
      signals.push(signal);
      return answer.promise;
    });
    const sibling = auth.use(({ token }) => (token === 'old' ? refused : 'fine'));
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(await sibling).toBe('fine');
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    answer.resolve('done');
    expect(await healthy).toBe('done');
  });

  it('calls again where the signal of the snapshot itself aborted the call', async () => {
    const { world, auth } = await open();
    const tokens: string[] = [];
    const used = auth.use(({ token }, { snapshot }) => {
      tokens.push(token);
      if (token !== 'old') return 'fine';
      return new Promise((_resolve, reject) => {
        snapshot.signal.addEventListener('abort', () => {
          reject(new Error('load failed', { cause: snapshot.signal.reason }));
        });
      });
    });
    await world.clock.settle();
    auth.reject(await auth.snapshot());
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(await used).toBe('fine');
    expect(tokens).toEqual(['old', 'new']);
    expect(world.calls).toHaveLength(1);
  });

  it('does not call again what the caller aborted', async () => {
    const { auth } = await open();
    const own = new AbortController();
    const used = auth.use(
      (_credentials, { snapshot, signal }) => {
        auth.reject(snapshot);
        own.abort(new DOMException('enough', 'AbortError'));
        signal.throwIfAborted();
      },
      { signal: own.signal },
    );
    await expect(used).rejects.toThrow('enough');
  });

  it('aborts a call with refused credentials when they are cleared', async () => {
    const { world, auth } = await open();
    const aborted = deferred<unknown>();
    const used = auth.use((_credentials, { snapshot, signal }) => {
      auth.reject(snapshot);
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason);
      });
      return aborted.promise;
    });
    await world.clock.settle();
    await world.person.clear({ reason: 'logout' });
    const reason = await used;
    expect(reason).toBeInstanceOf(WithdrawnError);
    expect(reason).toMatchObject({ change: { type: 'cleared', reason: 'logout' } });
  });

  it('aborts a call with refused credentials when their successor is cleared', async () => {
    const { world, auth } = await open();
    const aborted = deferred<unknown>();
    const used = auth.use((_credentials, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason);
      });
      return aborted.promise;
    });
    const sibling = auth.use(({ token }) => (token === 'old' ? refused : 'fine'));
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(await sibling).toBe('fine');
    await world.person.clear({ reason: 'logout' });
    await world.clock.settle();
    expect(await used).toMatchObject({ change: { type: 'cleared', reason: 'logout' } });
  });

  it('does not call again what a signal of its own aborted', async () => {
    const { world, auth } = await open();
    const own = new AbortController();
    const used = auth.use((_credentials, { snapshot }) => {
      auth.reject(snapshot);
      own.abort();
      own.signal.throwIfAborted();
    });
    await expect(used).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
  });

  it('gives a signal that is aborted already for credentials that were cleared before', async () => {
    const { world, auth } = await open();
    const snapshot = await auth.snapshot();
    expect(snapshot.signal.aborted).toBe(false);
    const seen = auth.use(async (_credentials, { signal }) => {
      await world.person.clear();
      await world.clock.settle();
      return signal.reason as unknown;
    });
    expect(await seen).toMatchObject({ change: { type: 'cleared' } });
  });
});

describe('the option `rejected` of use()', () => {
  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('of rejected');
      },
    ],
    ['rejects', () => Promise.reject(new Error('of rejected'))],
  ])('counts as no when it %s, which is reported', async (_name, rejected) => {
    const { auth, callbackErrors } = await open();
    expect(await auth.use(() => 'done', { rejected: rejected as () => boolean })).toBe('done');
    await Promise.resolve();
    expect(callbackErrors).toEqual([[new Error('of rejected'), 'rejected']]);
  });
});

describe('use() with an answer that was refused', () => {
  it('cancels its body, which would hold a connection', async () => {
    const { world, auth } = await open();
    let cancelled = 0;
    const used = auth.use(({ token }) => {
      const body = new ReadableStream({ cancel: () => void (cancelled += 1) });
      return new Response(body, { status: token === 'old' ? 401 : 200 });
    });
    await world.clock.settle();
    expect(cancelled).toBe(1);
    await world.answer(1, 'new', HOUR);
    expect((await used).status).toBe(200);
    expect(cancelled).toBe(1);
  });

  it('survives a body that is read already, or cannot be cancelled', async () => {
    const { world, auth } = await open();
    const locked = new Response('no', { status: 401 });
    locked.body?.getReader();
    const broken = { status: 401, body: { cancel: () => Promise.reject(new Error('no')) } };
    const results = [locked, broken].map((first) =>
      auth.use(({ token }) => (token === 'old' ? first : undefined)),
    );
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(await Promise.all(results)).toEqual([undefined, undefined]);
  });

  it('returns it when the work cannot be done twice, and replaces the credentials', async () => {
    const { world, auth } = await open();
    let calls = 0;
    const used = await auth.use(
      () => {
        calls += 1;
        return refused;
      },
      { repeat: false },
    );
    expect(used).toBe(refused);
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(calls).toBe(1);
    expect((await auth.credentials()).token).toBe('new');
  });
});
