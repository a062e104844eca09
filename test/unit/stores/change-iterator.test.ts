import { Subject } from 'rxjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import type { CredentialChange } from 'credstream';
import { credentialMatchers } from 'credstream/testing';

import { createChange } from '../../../src/credential/change.js';
import { StoredSnapshot } from '../../../src/credential/snapshot.js';
import { Withdrawal } from '../../../src/credential/withdrawal.js';
import { ChangeIterator, ITERATOR_BUFFER } from '../../../src/stores/change-iterator.js';

beforeAll(() => {
  expect.extend(credentialMatchers);
});

let changes$ = new Subject<CredentialChange<number>>();
afterEach(() => {
  changes$ = new Subject();
});

const snapshot = (id: string, value: number): StoredSnapshot<number> =>
  new StoredSnapshot(id, value, undefined, String(value), new Withdrawal());

function saved(id: string, value: number, previous?: number): CredentialChange<number> {
  return createChange<number>({
    type: 'saved',
    id,
    at: 0,
    source: 'live',
    origin: 'unknown',
    previous: previous === undefined ? undefined : snapshot(id, previous),
    snapshot: snapshot(id, value),
    expiresAt: undefined,
    reason: undefined,
  });
}

function cleared(id: string, previous: number): CredentialChange<number> {
  return createChange<number>({
    type: 'cleared',
    id,
    at: 0,
    source: 'live',
    origin: 'unknown',
    previous: snapshot(id, previous),
    reason: undefined,
  });
}

/** What comes without waiting for more. */
async function drain(
  iterator: ChangeIterator<number>,
  count: number,
): Promise<CredentialChange<number>[]> {
  const all: CredentialChange<number>[] = [];
  for (let n = 0; n < count; n += 1) {
    const { value } = await iterator.next();
    if (value !== undefined) all.push(value);
  }
  return all;
}

describe('an iterator over changes', () => {
  it('gives changes from before and after the call of next', async () => {
    const iterator = new ChangeIterator(changes$);
    const [first, second] = [saved('a', 1), saved('a', 2, 1)];
    changes$.next(first);
    expect(await iterator.next()).toEqual({ done: false, value: first });
    const [waiting, also] = [iterator.next(), iterator.next()];
    changes$.next(second);
    expect((await waiting).value).toBe(second);
    changes$.complete();
    expect(await also).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('gives its buffer even after the end', async () => {
    const iterator = new ChangeIterator(changes$);
    changes$.next(saved('a', 1));
    changes$.complete();
    expect((await iterator.next()).done).toBe(false);
    expect((await iterator.next()).done).toBe(true);
  });

  it('unsubscribes when it is left, and ends pending calls', async () => {
    const iterator = new ChangeIterator(changes$);
    const waiting = iterator.next();
    expect(changes$.observed).toBe(true);
    expect(await iterator.return()).toEqual({ done: true, value: undefined });
    expect(changes$.observed).toBe(false);
    expect((await waiting).done).toBe(true);
    expect((await iterator.next()).done).toBe(true);
  });

  it('unsubscribes when a loop is left', async () => {
    const iterator = new ChangeIterator(changes$);
    changes$.next(saved('a', 1));
    for await (const change of iterator) {
      expect(change).toBeChange('saved', { credentials: 1 });
      break;
    }
    expect(changes$.observed).toBe(false);
  });
});

describe('a full buffer', () => {
  it('merges the oldest changes of one credential, so that the latest is kept', async () => {
    const iterator = new ChangeIterator(changes$, 3);
    for (let n = 1; n <= 6; n += 1) changes$.next(saved('a', n, n - 1));
    const [first, ...rest] = await drain(iterator, 3);
    expect(first).toBeChange('saved', { credentials: 4, previous: 0 });
    expect(rest[0]).toBeChange('saved', { credentials: 5, previous: 4 });
    expect(rest[1]).toBeChange('saved', { credentials: 6, previous: 5 });
  });

  it('merges the changes of one credential, past those of others', async () => {
    const iterator = new ChangeIterator(changes$, 3);
    changes$.next(saved('a', 1));
    changes$.next(saved('b', 2));
    changes$.next(saved('b', 3, 2));
    changes$.next(cleared('a', 1));
    const [first, second, third] = await drain(iterator, 3);
    expect(first).toBeChange('saved', { credentials: 2 });
    expect(second).toBeChange('saved', { credentials: 3 });
    expect(third).toBeChange('cleared', { previous: undefined });
  });

  it('loses no credential when each change is of another one', async () => {
    const iterator = new ChangeIterator(changes$, 2);
    for (const [index, id] of ['a', 'b', 'c', 'd'].entries()) changes$.next(saved(id, index));
    const ids = (await drain(iterator, 4)).map(({ id }) => id);
    expect(ids).toEqual(['a', 'b', 'c', 'd']);
  });

  it('hides the credentials of merged changes as well', async () => {
    const iterator = new ChangeIterator(changes$, 1);
    changes$.next(saved('a', 111_111, 222_222));
    changes$.next(saved('a', 333_333, 111_111));
    const [merged] = await drain(iterator, 1);
    expect(merged).toBeChange('saved', { credentials: 333_333, previous: 222_222 });
    expect(JSON.stringify(merged)).not.toMatch(/111111|222222|333333/);
  });

  it('stays bounded by default', async () => {
    const iterator = new ChangeIterator(changes$);
    for (let n = 0; n < 3 * ITERATOR_BUFFER; n += 1) changes$.next(saved('a', n, n - 1));
    changes$.complete();
    const all: CredentialChange<number>[] = [];
    for await (const change of iterator) all.push(change);
    expect(all).toHaveLength(ITERATOR_BUFFER);
    expect(all.at(-1)).toBeChange('saved', { credentials: 3 * ITERATOR_BUFFER - 1 });
    expect(all[0]?.previous?.credentials).toBe(-1);
  });
});
