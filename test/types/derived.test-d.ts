import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { LRUCache } from 'lru-cache';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

import {
  derive,
  type Derived,
  type DerivedState,
  invalidate,
  type Invalidation,
  type ObservableCredentialStore,
} from 'credstream';

interface Token {
  readonly accessToken: string;
}

class Client {
  readonly #token: string;
  constructor(token: string) {
    this.#token = token;
  }
  async end(): Promise<number> {
    return this.#token.length;
  }
}

declare const store: ObservableCredentialStore<Token>;
declare const state: DerivedState;

describe('a derived value', () => {
  it('has the type of the result of create', () => {
    const derived = derive(store, ({ accessToken }) => new Client(accessToken), {
      dispose: (client) => {
        expectTypeOf(client).toEqualTypeOf<Client>();
        return client.end();
      },
    });
    expectTypeOf(derived).toEqualTypeOf<Derived<Client>>();
    expectTypeOf(derived.current).toEqualTypeOf<Client | undefined>();
    expectTypeOf(derived.value$).toEqualTypeOf<Observable<Client | undefined>>();
    expectTypeOf(derived.get()).resolves.toEqualTypeOf<Client>();
    expectTypeOf(derived.use((client) => client.end())).resolves.toEqualTypeOf<number>();
    expectTypeOf(derive(store, async () => 1)).toEqualTypeOf<Derived<number>>();
  });

  it('refuses other arguments', () => {
    // @ts-expect-error -- the credentials are no string
    derive(store, (token: string) => token);
    // @ts-expect-error -- dispose gets what create gives
    derive(store, () => 1, { dispose: (value: string) => value });
    // @ts-expect-error -- there is no such option
    derive(store, () => 1, { lazy: true });
    derive(store, (credentials, { signal, id, expiresAt }) => {
      expectTypeOf(credentials).toEqualTypeOf<Token>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf([id, expiresAt] as const).toEqualTypeOf<readonly [string, number | undefined]>();
    });
  });

  it('has a state that its type narrows', () => {
    if (state.type === 'failed') {
      expectTypeOf(state.nextAt).toBeNumber();
      expectTypeOf(state.reason).toEqualTypeOf<'threw' | 'timeout'>();
    }
    // @ts-expect-error -- only a failure has one
    expectTypeOf(state.nextAt).toBeNumber();
    expectTypeOf<DerivedState['type']>().toEqualTypeOf<
      'idle' | 'building' | 'ready' | 'failed' | 'closed'
    >();
  });
});

describe('invalidate', () => {
  it('takes the caches that people use', () => {
    for (const target of [
      new Map<string, Date>(),
      new LRUCache<string, Date>({ max: 1 }),
      new Keyv(),
      createCache(),
    ]) {
      expectTypeOf(invalidate(target, store, { keys: 'answer' })).toEqualTypeOf<Invalidation>();
      expectTypeOf(invalidate(target, store, { all: true })).toEqualTypeOf<Invalidation>();
    }
    invalidate(new Map<number, Date>(), store, { all: true });
  });

  it('refuses other arguments', () => {
    // @ts-expect-error -- an array is no cache
    invalidate([], store, { keys: 'answer' });
    // @ts-expect-error -- its keys are no strings
    invalidate(new Map<number, Date>(), store, { keys: 'answer' });
    // @ts-expect-error -- it says neither which entries nor that all depend on the credential
    invalidate(new Map<string, Date>(), store, {});
    // @ts-expect-error -- nothing to empty it with
    invalidate({ del: () => undefined }, store, { all: true });
    // @ts-expect-error -- keys are strings
    invalidate(new Map<string, Date>(), store, { keys: [1] });
  });
});
