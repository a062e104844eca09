import type { Redis } from 'ioredis';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import {
  type AuthenticateRequest,
  type CredentialSnapshot,
  type DiscardReason,
  jsonCodec,
  MemoryCredentialStore,
  Reauthenticator,
  type ReauthenticationCause,
  type ReauthenticationCounts,
  type ReauthenticationState,
  RedisCredentialStore,
} from 'credstream';

interface Token {
  readonly accessToken: string;
}

declare const redis: Redis;
declare const request: AuthenticateRequest<Token>;
declare const auth: Reauthenticator<Token>;
declare const state: ReauthenticationState;
declare const snapshot: CredentialSnapshot<Token>;

describe('the argument of authenticate', () => {
  it('contains the previous credentials if there are any', () => {
    expectTypeOf(request.previous).toEqualTypeOf<Token | undefined>();
    expectTypeOf(request.cause).toEqualTypeOf<ReauthenticationCause>();
    switch (request.cause) {
      case 'expiring':
      case 'expired':
      case 'rejected':
        expectTypeOf(request.previous).toEqualTypeOf<Token>();
        expectTypeOf(request.reason).toEqualTypeOf<string | undefined>();
        break;
      case 'absent':
      case 'cleared':
        expectTypeOf(request.previous).toBeUndefined();
        expectTypeOf(request.reason).toBeUndefined();
        break;
      default:
        expectTypeOf(request).toBeNever();
    }
    // Also from what there is to what it is for.
    if (request.previous === undefined)
      expectTypeOf(request.cause).toEqualTypeOf<'absent' | 'cleared'>();
  });

  it('contains the data of the attempt in any case', () => {
    expectTypeOf(request.attempt).toBeNumber();
    expectTypeOf(request.inDoubt).toBeBoolean();
    expectTypeOf(request.signal).toEqualTypeOf<AbortSignal>();
    // @ts-expect-error -- it is read only
    request.attempt = 5;
  });
});

describe('a reauthenticator', () => {
  it('takes the type of its credentials from the store', () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    const made = new Reauthenticator(store, {
      authenticate: (asked) => {
        expectTypeOf(asked).toEqualTypeOf<AuthenticateRequest<Token>>();
        return { accessToken: 'a' };
      },
      onDiscarded: (credentials, reason) => {
        expectTypeOf(credentials).toEqualTypeOf<Token>();
        expectTypeOf(reason).toEqualTypeOf<DiscardReason>();
      },
    });
    expectTypeOf(made).toEqualTypeOf<Reauthenticator<Token>>();
  });

  it('takes that type from the schema of a codec', () => {
    const codec = jsonCodec(z.object({ accessToken: z.string() }));
    const store = new RedisCredentialStore(redis, { key: 'k', ...codec });
    const made = new Reauthenticator(store, {
      authenticate: () => Promise.resolve({ accessToken: 'a' }),
    });
    expectTypeOf(made.credentials()).resolves.toEqualTypeOf<{ accessToken: string }>();
  });

  it('refuses an authenticate with another result, or none', () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    // @ts-expect-error -- a string is no token
    new Reauthenticator(store, { authenticate: () => 'token' });
    // @ts-expect-error -- nor is nothing
    new Reauthenticator(store, { authenticate: async () => undefined });
    // @ts-expect-error -- a promise is true whatever it comes to
    new Reauthenticator(store, { authenticate: () => state, isFatal: async () => false });
  });

  it('returns the credentials of the store', () => {
    expectTypeOf(auth.credentials({ minValidityMs: 5 })).resolves.toEqualTypeOf<Token>();
    expectTypeOf(auth.snapshot()).resolves.toEqualTypeOf<CredentialSnapshot<Token>>();
    expectTypeOf(auth.reject(snapshot, 'status 401')).toBeBoolean();
    expectTypeOf(auth.state$).toEqualTypeOf<Observable<ReauthenticationState>>();
    expectTypeOf(auth.counts).toEqualTypeOf<ReauthenticationCounts>();
    // @ts-expect-error -- a snapshot of something else
    auth.reject({} as CredentialSnapshot<string>);
  });

  it('returns the result of the function of use', () => {
    expectTypeOf(auth.use(({ accessToken }) => accessToken)).resolves.toBeString();
    expectTypeOf(
      auth.use(async (_credentials, { signal, snapshot: used }) => {
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
        expectTypeOf(used).toEqualTypeOf<CredentialSnapshot<Token>>();
        return Promise.resolve(5);
      }),
    ).resolves.toBeNumber();
  });

  it('has a state that its type narrows', () => {
    if (state.type === 'waiting') expectTypeOf(state.instance).toBeString();
    if (state.type === 'authenticating')
      expectTypeOf(state.cause).toEqualTypeOf<ReauthenticationCause>();
    // @ts-expect-error -- only of some
    expectTypeOf(state.attempt);
    expectTypeOf(state.type).toEqualTypeOf<
      'idle' | 'waiting' | 'authenticating' | 'backing-off' | 'failed' | 'closed'
    >();
  });
});
