import { expect, it } from 'vitest';

import {
  type CredentialChange,
  type CredentialDirectoryOptions,
  type CredentialDirectory,
  InvalidOptionError,
} from 'credstream';

import { collect, type Collected, eventually } from '../support/wait.js';

export interface Token {
  readonly token: string;
}

/** Where directories are made, and what others do there. */
export interface DirectoryPlace {
  open(
    options?: Partial<CredentialDirectoryOptions<Token>>,
    instance?: 'first' | 'second',
  ): CredentialDirectory<Token>;
  /** Keys in full. */
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  /** Everything vanishes without a word. */
  flush(): Promise<unknown>;
}

const bytesOf = (token: string): string => JSON.stringify({ token });

export const PREFIX = 'app:';

/** A change in short: the id, what happened, the token if there is one. */
function say(change: CredentialChange<Token>): string {
  const token = 'snapshot' in change ? ` ${change.credentials.token}` : '';
  return `${change.id} ${change.type}${token}`;
}

async function ready(
  place: DirectoryPlace,
  options?: Partial<CredentialDirectoryOptions<Token>>,
): Promise<{
  directory: CredentialDirectory<Token>;
  changes: Collected<CredentialChange<Token>>;
}> {
  const directory = place.open(options);
  const changes = collect(directory.changes$);
  await directory.ready();
  return { directory, changes };
}

async function idsOf(directory: CredentialDirectory<Token>): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of directory.ids()) ids.push(id);
  return ids.sort();
}

/** What every directory promises. */
export function registerDirectoryCases(place: () => DirectoryPlace): void {
  it('a directory emits changes of credentials that nobody has opened, without the previous value', async () => {
    await place().set('app:old', bytesOf('one'));
    const { changes } = await ready(place());
    expect(changes.values).toEqual([]);
    await place().set('app:old', bytesOf('two'));
    const saved = await changes.next();
    expect(say(saved)).toBe('old saved two');
    expect(saved).toMatchObject({ previous: undefined, source: 'live', origin: 'out-of-band' });
    await place().set('app:new', bytesOf('three'));
    expect(say(await changes.next())).toBe('new saved three');
    await place().delete('app:old');
    expect(say(await changes.next())).toBe('old cleared');
  });

  it('a directory emits the previous value where a store watches', async () => {
    const { directory, changes } = await ready(place());
    await using store = directory.store('a');
    await store.ready();
    await directory.save('a', { token: 'one' });
    expect(say(await changes.next())).toBe('a saved one');
    await place().set('app:a', bytesOf('two'));
    const second = await changes.next();
    expect(say(second)).toBe('a saved two');
    expect(second.previous?.credentials.token).toBe('one');
    expect(changes.values).toHaveLength(2);
  });

  it('a directory loses and repeats no change while watches begin and end', async () => {
    const { directory, changes } = await ready(place());
    for (let round = 0; round < 20; round += 1) {
      const store = directory.store('a');
      const opened = round % 3 === 0 ? undefined : store.ready();
      opened?.catch(() => undefined);
      await place().set('app:a', bytesOf(`t${String(round)}`));
      if (round % 3 === 1) await opened;
      const closed = store.close();
      await changes.next((change) => say(change) === `a saved t${String(round)}`);
      await Promise.allSettled([opened, closed]);
    }
    const emitted = changes.values.map(say);
    expect(emitted).toEqual([...new Set(emitted)]);
    expect(emitted).toHaveLength(20);
  });

  it('a directory shares one watch among the stores of an id', async () => {
    const directory = place().open();
    const [one, other] = [directory.store('a'), directory.store('a')];
    expect(one).not.toBe(other);
    await one.ready();
    await directory.save('a', { token: 'one' });
    expect(other.current?.credentials.token).toBe('one');
    expect(directory.current('a')).toBe(one.current);
    expect(directory.store('a').status.link).toBe('live');
    await other.ready();
    await one.close();
    expect(one.current).toBeUndefined();
    expect(other.current?.credentials.token).toBe('one');
    await place().set('app:a', bytesOf('two'));
    await eventually(() => expect(other.current?.credentials.token).toBe('two'));
    await other.close();
    expect(directory.current('a')).toBeUndefined();
    expect(directory.store('a').status.link).toBe('idle');
  });

  it('a directory reads, saves and clears by id, without watching', async () => {
    const directory = place().open();
    expect(await directory.read('a')).toBeUndefined();
    await directory.save('a', { token: 'one' });
    expect(await directory.load('a')).toEqual({ token: 'one' });
    const snapshot = await directory.read('a');
    expect(snapshot?.id).toBe('a');
    await directory.save('a', { token: 'two' }, { onlyIf: snapshot });
    await expect(directory.save('a', { token: 'x' }, { onlyIf: snapshot })).rejects.toThrow();
    expect(await directory.clear('a')).toBe(true);
    expect(await directory.clear('a')).toBe(false);
    expect(directory.status.link).toBe('idle');
  });

  it('a directory sends the saves of one id in the order of the calls', async () => {
    const directory = place().open({
      serialize: (token) => {
        // The first takes longest.
        const turns = 5 - Number(token.token);
        let bytes = Promise.resolve(bytesOf(token.token));
        for (let turn = 0; turn < turns * 10; turn += 1) bytes = bytes.then((one) => one);
        return bytes;
      },
      deserialize: (bytes) => JSON.parse(bytes.toString()) as Token,
    });
    await Promise.all(['1', '2', '3', '4'].map((token) => directory.save('a', { token })));
    expect(await directory.load('a')).toEqual({ token: '4' });
  });

  it('a directory emits the end of an unopened credential once', async () => {
    const { changes } = await ready(place());
    await place().set('app:a', bytesOf('one'), 600);
    expect(say(await changes.next())).toBe('a saved one');
    expect(await changes.next()).toMatchObject({ id: 'a', type: 'expired' });
    await place().set('app:b', bytesOf('two'));
    expect(say(await changes.next())).toBe('b saved two');
  });

  it('a credential of a directory ends by the logical end too', async () => {
    const { changes } = await ready(place(), {
      expiresAt: ({ token }) => (token === 'ended' ? Date.UTC(2020) : undefined),
    });
    await place().set('app:a', bytesOf('one'));
    await changes.next();
    await place().set('app:a', bytesOf('ended'));
    expect(say(await changes.next())).toBe('a expired');
    await place().set('app:a', bytesOf('two'));
    expect(say(await changes.next())).toBe('a saved two');
  });

  it('a directory reports an unreadable credential to every watcher, and leaves the others alone', async () => {
    const { changes } = await ready(place(), { onCallbackError: () => undefined });
    await place().set('app:a', 'not json');
    expect(await changes.next()).toMatchObject({ id: 'a', type: 'unreadable' });
    await place().set('app:b', bytesOf('one'));
    expect(say(await changes.next())).toBe('b saved one');
    await place().set('app:a', bytesOf('two'));
    expect(say(await changes.next())).toBe('a saved two');
  });

  it('a directory notices the loss of all keys, and catches up', async () => {
    for (const id of ['a', 'b', 'c']) await place().set(`app:${id}`, bytesOf(id));
    const { directory, changes } = await ready(place());
    const store = directory.store('b');
    await store.ready();
    await place().flush();
    const gone = await Promise.all([changes.next(), changes.next(), changes.next()]);
    expect(gone.map(say).sort()).toEqual(['a cleared', 'b cleared', 'c cleared']);
    await place().set('app:d', bytesOf('one'));
    expect(say(await changes.next())).toBe('d saved one');
    await eventually(() => expect(directory.status.link).toBe('live'));
  });

  it('a directory reports no id outside its prefix', async () => {
    const { directory, changes } = await ready(place(), { prefix: 'app[1]*:' });
    await place().set('app1x:a', bytesOf('foreign'));
    await place().set('app[1]', bytesOf('foreign'));
    await place().set('app[1]*:', bytesOf('no id'));
    await place().set('app[1]*:a', bytesOf('one'));
    expect(say(await changes.next())).toBe('a saved one');
    expect(changes.values).toHaveLength(1);
    expect(await idsOf(directory)).toEqual(['a']);
  });

  it('a directory sees the changes that a directory below it makes', async () => {
    const { directory, changes } = await ready(place());
    const { directory: below, changes: changesBelow } = await ready(place(), { prefix: 'app:x' });
    await place().set('app:x1', bytesOf('one'));
    expect(say(await changes.next())).toBe('x1 saved one');
    expect(say(await changesBelow.next())).toBe('1 saved one');
    await place().set('app:y', bytesOf('two'));
    expect(say(await changes.next())).toBe('y saved two');
    expect(changesBelow.values).toHaveLength(1);
    expect(await idsOf(below)).toEqual(['1']);
    expect(await idsOf(directory)).toEqual(['x1', 'y']);
  });

  it.each(['cred', 'credstream', 'c'])(
    'a directory never lists or reports our own keys under the prefix %s',
    async (prefix) => {
      const { directory, changes } = await ready(place(), { prefix });
      const rest = 'credstream:'.slice(prefix.length);
      for (const id of [rest, `${rest}x`, `${rest}epoch`])
        expect(() => directory.store(id)).toThrow(/^id: must not begin with/);
      await place().set('credstream:0:foreign', bytesOf('ours'));
      await place().set(`${prefix}-a`, bytesOf('one'));
      expect(say(await changes.next())).toBe('-a saved one');
      expect(changes.values).toHaveLength(1);
      expect(await idsOf(directory)).toEqual(['-a']);
    },
  );

  it.each([
    ['no string', ['a'], /string/],
    ['a number', 7, /string/],
    ['empty', '', /empty/],
    ['control characters', 'a\nb', /control/],
    ['NUL', 'a\u0000', /control/],
    ['a lone surrogate', '\ud800', /surrogate/],
    ['10 KB', 'x'.repeat(10_240), /1024 bytes/],
  ])('a directory refuses an id that is %s, by name', async (_what, id, why) => {
    const directory = place().open();
    expect(() => directory.store(id as string)).toThrow(InvalidOptionError);
    expect(() => directory.store(id as string)).toThrow(why);
    expect(() => directory.store(id as string)).toThrow(/^id: /);
    await expect(directory.read(id as string)).rejects.toMatchObject({ option: 'id' });
    await expect(directory.clear(id as string)).rejects.toMatchObject({ option: 'id' });
  });

  it.each([
    '__proto__',
    'constructor',
    '{a}',
    'a}b{',
    '*',
    '?[a-z]\\',
    'é',
    'e\u0301',
    ':',
    ' ',
    '💳',
  ])('a directory takes %j as an id like any other', async (id) => {
    const { directory, changes } = await ready(place());
    await using store = directory.store(id);
    await directory.save(id, { token: 'one' });
    expect(say(await changes.next())).toBe(`${id} saved one`);
    await store.ready();
    expect(store.current?.id).toBe(id);
    expect(await idsOf(directory)).toEqual([id]);
    expect(await directory.clear(id)).toBe(true);
    expect(say(await changes.next())).toBe(`${id} cleared`);
  });

  it('a directory lists many ids, each once', async () => {
    const all = Array.from({ length: 2_500 }, (_, nth) => `id${String(nth)}`);
    await Promise.all(all.map((id) => place().set(`app:${id}`, bytesOf(id))));
    expect(await idsOf(place().open())).toEqual(all.sort());
  });

  it('clearAll clears every id, reports its progress, and passes on the reason', async () => {
    for (let nth = 0; nth < 150; nth += 1) await place().set(`app:${String(nth)}`, bytesOf('one'));
    await place().set('other:1', bytesOf('one'));
    const { directory, changes } = await ready(place());
    const progress: number[] = [];
    const receipt = await directory.clearAll({
      reason: 'leak',
      concurrency: 7,
      onProgress: ({ cleared }) => progress.push(cleared),
    });
    expect(receipt).toEqual({ cleared: 150, failed: 0, failures: [] });
    expect(progress.at(-1)).toBe(150);
    await eventually(() => expect(changes.values).toHaveLength(150));
    expect(changes.values.filter(({ type }) => type !== 'cleared')).toEqual([]);
    // The reason is a label. A round of the heartbeat over another connection can read the key before its announcement arrives.
    const reasons = changes.values.map((one) => one.type === 'cleared' && one.reason);
    expect(reasons.filter((reason) => reason !== 'leak' && reason !== undefined)).toEqual([]);
    expect(reasons.filter((reason) => reason === 'leak').length).toBeGreaterThan(100);
    expect(await directory.clearAll()).toEqual({ cleared: 0, failed: 0, failures: [] });
  });

  it('clearAll stops when its signal aborts', async () => {
    for (let nth = 0; nth < 50; nth += 1) await place().set(`app:${String(nth)}`, bytesOf('one'));
    const directory = place().open();
    const controller = new AbortController();
    const clearing = directory.clearAll({
      concurrency: 1,
      signal: controller.signal,
      onProgress: ({ cleared }) => {
        if (cleared === 3) controller.abort(new Error('enough'));
      },
    });
    await expect(clearing).rejects.toThrow('enough');
    expect((await idsOf(directory)).length).toBeGreaterThan(40);
  });

  it('close ends everything in a directory, and later calls are refused', async () => {
    const { directory, changes } = await ready(place());
    const store = directory.store('a');
    const states = collect(store.state$);
    const links = collect(directory.status$);
    await store.ready();
    await directory.close();
    expect([changes.completed, states.completed, links.completed]).toEqual([true, true, true]);
    expect(links.values.at(-1)?.link).toBe('closed');
    expect(store.current).toBeUndefined();
    expect(store.status.link).toBe('closed');
    expect(() => directory.store('a')).toThrow(/closed/);
    await expect(store.load()).rejects.toThrow(/closed/);
    await expect(directory.ready()).rejects.toThrow(/closed/);
    await expect(directory.ids().next()).rejects.toThrow(/closed/);
    await directory.close();
  });

  it('a directory is idle when nobody watches, and starts again', async () => {
    const directory = place().open();
    const first = collect(directory.changes$);
    await eventually(() => expect(directory.status.link).toBe('live'));
    first.stop();
    expect(directory.status.link).toBe('idle');
    await place().set('app:a', bytesOf('one'));
    const again = collect(directory.changes$);
    await eventually(() => expect(directory.status.link).toBe('live'));
    expect(again.values).toEqual([]);
    await place().set('app:a', bytesOf('two'));
    expect(say(await again.next())).toBe('a saved two');
  });
}
