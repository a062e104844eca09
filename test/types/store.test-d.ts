import type { Redis } from 'ioredis';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import {
  type CredentialChange,
  type CredentialSnapshot,
  type CredentialState,
  type CredentialStore,
  jsonCodec,
  type MemoryCredentialStore,
  type ObservableCredentialStore,
  RedisCredentialStore,
  type SaveReceipt,
} from 'credstream';

interface Token {
  readonly accessToken: string;
}

declare const redis: Redis;
declare const store: ObservableCredentialStore<Token>;
declare const change: CredentialChange<Token>;
declare const state: CredentialState<Token>;

describe('a store', () => {
  it('is the smaller contract too', () => {
    expectTypeOf(store).toExtend<CredentialStore<Token>>();
    expectTypeOf<RedisCredentialStore<Token>>().toExtend<ObservableCredentialStore<Token>>();
    expectTypeOf<MemoryCredentialStore<Token>>().toExtend<ObservableCredentialStore<Token>>();
  });

  it('returns the type that it was made for', () => {
    expectTypeOf(store.load()).resolves.toEqualTypeOf<Token | undefined>();
    expectTypeOf(store.read()).resolves.toEqualTypeOf<CredentialSnapshot<Token> | undefined>();
    expectTypeOf(store.current).toEqualTypeOf<CredentialSnapshot<Token> | undefined>();
    expectTypeOf(store.credentials$).toEqualTypeOf<Observable<Token | undefined>>();
    expectTypeOf(store.save({ accessToken: 'a' })).resolves.toEqualTypeOf<SaveReceipt>();
    expectTypeOf(store.clear()).resolves.toBeBoolean();
  });

  it('takes no other credentials than its own', () => {
    // @ts-expect-error -- a string is no token
    void store.save('token');
    // @ts-expect-error -- what update writes is a token too
    void store.update(() => 'token');
    // @ts-expect-error -- 'sometimes' is no TTL
    void store.save({ accessToken: 'a' }, { ttlSeconds: 'sometimes' });
    expectTypeOf(store.save).parameter(0).toEqualTypeOf<Token>();
  });

  it('takes the type of its credentials from the schema of its codec', () => {
    const codec = jsonCodec(z.object({ accessToken: z.string() }));
    const made = new RedisCredentialStore(redis, { key: 'token', ...codec });
    expectTypeOf(made.load()).resolves.toEqualTypeOf<{ accessToken: string } | undefined>();
  });
});

describe('an event', () => {
  it('is narrowed by its type', () => {
    if (change.type === 'saved') expectTypeOf(change.credentials).toEqualTypeOf<Token>();
    if (state.type === 'present')
      expectTypeOf(state.snapshot).toEqualTypeOf<CredentialSnapshot<Token>>();
    expectTypeOf<CredentialChange<Token>['type']>().toEqualTypeOf<
      'saved' | 'renewed' | 'expired' | 'cleared' | 'evicted' | 'unreadable'
    >();
  });

  it('is typed by event', () => {
    store.on('state', (emitted) => {
      expectTypeOf(emitted).toEqualTypeOf<CredentialState<Token>>();
    });
    // @ts-expect-error -- there is no such event
    store.on('changed', () => undefined);
    expectTypeOf(store.on).toBeFunction();
  });
});
