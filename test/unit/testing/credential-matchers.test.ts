import { beforeAll, describe, expect, it } from 'vitest';

import {
  type CredentialChange,
  CredentialMemory,
  type CredentialSnapshot,
  MemoryCredentialStore,
} from 'credstream';
import { credentialMatchers, type CredentialMatchers, VirtualClock } from 'credstream/testing';

declare module 'vitest' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- merging is all it is for
  interface Matchers<T> extends CredentialMatchers<T> {}
}

expect.extend(credentialMatchers);

const OLD = 'canary-old';
const NEW = 'canary-new';

interface Token {
  readonly token: string;
  readonly scopes?: readonly string[];
}

type Changes = { [Type in CredentialChange<Token>['type']]?: CredentialChange<Token> };

let first: CredentialChange<Token>;
let changes: Required<Changes>;
let snapshot: CredentialSnapshot<Token>;
let startAt: number;

beforeAll(async () => {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  startAt = clock.now();
  await using store = new MemoryCredentialStore<Token>({
    key: 'k',
    memory: memory,
    onCallbackError: () => {},
  });
  const last: Changes = {};
  const all: CredentialChange<Token>[] = [];
  store.on('change', (change) => {
    last[change.type] = change;
    all.push(change);
  });
  await store.ready();
  await store.save({ token: OLD });
  await store.save({ token: NEW, scopes: ['read'] }, { reason: 'rotation', ttlSeconds: 60 });
  snapshot = store.current!;
  memory.expire('k', 3_600_000);
  await clock.settle();
  await clock.advance(3_600_001);
  await store.save({ token: OLD });
  memory.evict('k');
  await clock.settle();
  memory.set('k', `{"token":"${NEW}`);
  await clock.settle();
  await store.clear({ reason: 'logout' });
  [first] = all as [CredentialChange<Token>];
  changes = last as Required<Changes>;
});

/** What `expect` says when it fails. */
function messageOf(failing: () => void): string {
  try {
    failing();
  } catch (error) {
    const { message, actual, expected } = error as Error & { actual?: unknown; expected?: unknown };
    expect([actual, expected]).toEqual([undefined, undefined]);
    return message;
  }
  throw new Error('it did not fail');
}

describe('toBeChange', () => {
  it('distinguishes one type from all others', () => {
    for (const [type, change] of Object.entries(changes)) {
      expect(change).toBeChange(type as CredentialChange<Token>['type']);
      for (const other of Object.keys(changes) as CredentialChange<Token>['type'][])
        if (other !== type) expect(change).not.toBeChange(other);
    }
    expect(Object.keys(changes)).toHaveLength(6);
  });

  it('compares fields that inspection hides', () => {
    expect(first).toBeChange('saved', { credentials: { token: OLD }, previous: undefined });
    expect(first).not.toBeChange('saved', { credentials: { token: NEW } });
    expect(first).not.toBeChange('saved', { credentials: undefined });
    expect(first).not.toBeChange('saved', { previous: { token: OLD } });
    expect(changes.renewed).toBeChange('renewed', {
      credentials: { token: NEW, scopes: ['read'] },
      previous: { token: NEW, scopes: ['read'] },
    });
    expect(changes.cleared).toBeChange('cleared', { credentials: undefined, previous: undefined });
  });

  it('compares the other fields, and only the expected ones', () => {
    expect(first).toBeChange('saved', { origin: 'self', source: 'live', reason: undefined });
    expect(first).toBeChange('saved', { expiresAt: undefined });
    expect(first).not.toBeChange('saved', { origin: 'unknown' });
    expect(first).not.toBeChange('saved', { source: 'resync' });
    expect(changes.renewed).toBeChange('renewed', {
      origin: 'out-of-band',
      expiresAt: startAt + 3_600_000,
    });
    expect(changes.renewed).not.toBeChange('renewed', { expiresAt: startAt });
    expect(changes.cleared).toBeChange('cleared', { reason: 'logout' });
    expect(changes.cleared).not.toBeChange('cleared', { reason: undefined });
    expect(changes.unreadable).toBeChange('unreadable', { reason: 'decode' });
  });

  it('accepts asymmetric matchers', () => {
    expect(changes.renewed).toBeChange('renewed', {
      credentials: expect.objectContaining({ token: NEW }) as unknown,
      expiresAt: expect.any(Number) as unknown,
    });
    expect({ ...first, origin: { instance: 'n-1' } }).toBeChange('saved', {
      origin: { instance: expect.any(String) as unknown },
    });
    expect([first]).toEqual([expect.toBeChange('saved', { credentials: { token: OLD } })]);
  });

  it.each([undefined, null, 5, 'saved', {}, { type: 'saved' }, []])(
    'fails for a value that is no change: %j',
    (value) => {
      expect(value).not.toBeChange('saved');
      const message = messageOf(() => expect(value).toBeChange('saved'));
      expect(message).toContain('no change');
    },
  );

  it('shows the difference without any credentials', () => {
    const messages = [
      messageOf(() => expect(first).toBeChange('renewed', { credentials: { token: NEW } })),
      messageOf(() => expect(first).toBeChange('saved', { credentials: { token: NEW } })),
      messageOf(() => expect(first).toBeChange('saved', { previous: { token: NEW } })),
      messageOf(() => expect(changes.renewed).toBeChange('renewed', { previous: undefined })),
      messageOf(() => expect(first).toBeChange('saved', { reason: 'x', origin: 'unknown' })),
      messageOf(() => expect(first).not.toBeChange('saved', { credentials: { token: OLD } })),
    ];
    expect(messages[0]).toContain("'renewed', but it is 'saved'");
    expect(messages[1]).toContain('credentials: they differ');
    expect(messages[2]).toContain('previous: there are none');
    expect(messages[3]).toContain('previous: there are some');
    expect(messages[4]).toContain("reason is undefined, not 'x'");
    expect(messages[4]).toContain("origin is 'self', not 'unknown'");
    for (const message of messages) expect(message).not.toContain('canary');
  });
});

describe('toHoldCredentials', () => {
  it('compares the credentials that a snapshot hides', () => {
    expect(snapshot).toHoldCredentials({ token: NEW, scopes: ['read'] });
    expect(snapshot).not.toHoldCredentials({ token: NEW });
    expect(snapshot).toHoldCredentials(expect.objectContaining({ token: NEW }));
    expect(first).toHoldCredentials({ token: OLD });
    expect(first).not.toHoldCredentials({ token: NEW });
  });

  it('fails for a value without credentials', () => {
    expect(undefined).not.toHoldCredentials({ token: OLD });
    expect({}).not.toHoldCredentials(undefined);
    expect(messageOf(() => expect(undefined).toHoldCredentials({ token: OLD }))).not.toContain(OLD);
  });

  it('never shows credentials', () => {
    const messages = [
      messageOf(() => expect(snapshot).toHoldCredentials({ token: OLD })),
      messageOf(() => expect(snapshot).not.toHoldCredentials({ token: NEW, scopes: ['read'] })),
    ];
    for (const message of messages) expect(message).not.toContain('canary');
  });
});

describe('outside of vitest', () => {
  it('the matchers need only an `equals`', () => {
    const context = { equals: (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b) };
    const { toBeChange, toHoldCredentials } = credentialMatchers;
    expect(toBeChange.call(context, first, 'saved', { credentials: { token: OLD } }).pass).toBe(
      true,
    );
    expect(toHoldCredentials.call(context, snapshot, { token: OLD }).pass).toBe(false);
  });
});
