import type { Redis } from 'ioredis';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import {
  type AttemptRequest,
  type CredentialSnapshot,
  type DiscardReason,
  jsonCodec,
  type LoginRequest,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
  Reauthenticator,
  type ReauthenticationCause,
  type ReauthenticationCounts,
  type ReauthenticationState,
  ReauthenticatorPool,
  RedisCredentialStore,
  type RefreshRequest,
} from 'credstream';

interface Token {
  readonly accessToken: string;
}

declare const redis: Redis;
declare const refresh: RefreshRequest<Token>;
declare const login: LoginRequest;
declare const auth: Reauthenticator<Token>;
declare const state: ReauthenticationState;
declare const snapshot: CredentialSnapshot<Token>;

describe('the argument of refresh', () => {
  it('contains the previous credentials, whatever the cause', () => {
    expectTypeOf(refresh.previous).toEqualTypeOf<Token>();
    expectTypeOf(refresh.cause).toEqualTypeOf<'expiring' | 'expired' | 'rejected'>();
    expectTypeOf(refresh.reason).toEqualTypeOf<string | undefined>();
  });

  it('is narrowed by each cause', () => {
    switch (refresh.cause) {
      case 'expiring':
        expectTypeOf(refresh.cause).toEqualTypeOf<'expiring'>();
        expectTypeOf(refresh.reason).toBeUndefined();
        break;
      case 'expired':
        expectTypeOf(refresh.cause).toEqualTypeOf<'expired'>();
        expectTypeOf(refresh.reason).toBeUndefined();
        break;
      case 'rejected':
        expectTypeOf(refresh.cause).toEqualTypeOf<'rejected'>();
        expectTypeOf(refresh.reason).toEqualTypeOf<string | undefined>();
        break;
      default:
        expectTypeOf(refresh).toBeNever();
    }
    type OfCause<C> = Extract<RefreshRequest<Token>, { readonly cause: C }>['cause'];
    expectTypeOf<OfCause<'rejected'>>().toEqualTypeOf<'rejected'>();
    // With the cause and the reason apart, as destructuring leaves them.
    const { cause, reason } = refresh;
    if (cause !== 'rejected') expectTypeOf(reason).toBeUndefined();
  });

  it('contains the data of the attempt in any case', () => {
    expectTypeOf(refresh.attempt).toBeNumber();
    expectTypeOf(refresh.inDoubt).toBeBoolean();
    expectTypeOf(refresh.signal).toEqualTypeOf<AbortSignal>();
    expectTypeOf(refresh.endsIn(5)).toBeNumber();
    // @ts-expect-error -- it is read only
    refresh.attempt = 5;
  });
});

describe('the argument of login', () => {
  it('is narrowed by each cause', () => {
    expectTypeOf(login.cause).toEqualTypeOf<'absent' | 'cleared'>();
    if (login.cause === 'absent') expectTypeOf(login.cause).toEqualTypeOf<'absent'>();
    else expectTypeOf(login.cause).toEqualTypeOf<'cleared'>();
    expectTypeOf<Extract<LoginRequest, { readonly cause: 'cleared' }>>().not.toBeNever();
  });

  it('contains the data of the attempt, and no credentials', () => {
    expectTypeOf(login).toExtend<AttemptRequest>();
    expectTypeOf<keyof LoginRequest>().toEqualTypeOf<keyof AttemptRequest | 'cause'>();
    // @ts-expect-error -- nothing is stored
    expectTypeOf(login.previous);
  });

  it('has with that of refresh all causes', () => {
    expectTypeOf<
      (RefreshRequest<Token> | LoginRequest)['cause']
    >().toEqualTypeOf<ReauthenticationCause>();
  });
});

describe('a reauthenticator', () => {
  it('takes the type of its credentials from the store', () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    const made = new Reauthenticator(store, {
      refresh: (asked) => {
        expectTypeOf(asked.previous).toEqualTypeOf<Token>();
        expectTypeOf(asked).toExtend<RefreshRequest<Token>>();
        return asked.previous;
      },
      login: (asked) => {
        expectTypeOf(asked).toEqualTypeOf<LoginRequest>();
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
      refresh: () => Promise.resolve({ accessToken: 'a' }),
    });
    expectTypeOf(made.credentials()).resolves.toEqualTypeOf<{ accessToken: string }>();
  });

  it('refuses a refresh or a login with another result, or none', () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    // @ts-expect-error -- a string is no token
    new Reauthenticator(store, { refresh: () => 'token' });
    // @ts-expect-error -- nor is nothing
    new Reauthenticator(store, { refresh: async () => undefined });
    // @ts-expect-error -- nor for a login
    new Reauthenticator(store, { refresh: ({ previous }) => previous, login: () => 'token' });
    // @ts-expect-error -- a promise is true whatever it comes to
    new Reauthenticator(store, { refresh: ({ previous }) => previous, isFatal: async () => false });
    // @ts-expect-error -- refresh is required
    new Reauthenticator(store, { login: () => ({ accessToken: 'a' }) });
  });

  it('does not let refresh or login decide the type of the credentials', () => {
    interface Long extends Token {
      readonly refreshToken: string;
    }
    const store = new MemoryCredentialStore<Long>({ key: 'k' });
    // @ts-expect-error -- the refresh token would be lost
    new Reauthenticator(store, { refresh: async () => ({ accessToken: 'x' }) });
    new Reauthenticator(store, {
      refresh: ({ previous }) => previous,
      // @ts-expect-error -- the same
      login: () => ({ accessToken: 'x' }),
    });
    const directory = new MemoryCredentialDirectory<Long>({ prefix: 'k:' });
    // @ts-expect-error -- the same for a pool
    new ReauthenticatorPool(directory, { refresh: async () => ({ accessToken: 'x' }) });
    const pool = new ReauthenticatorPool(directory, {
      refresh: ({ previous }, id) => ({ ...previous, accessToken: id }),
      login: (_request, id) => ({ accessToken: id, refreshToken: id }),
    });
    expectTypeOf(pool).toEqualTypeOf<ReauthenticatorPool<Long>>();
  });

  it('takes one function for both', () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    const issue = ({ attempt }: AttemptRequest): Token => ({ accessToken: String(attempt) });
    new Reauthenticator(store, { refresh: issue, login: issue, whenCleared: 'login' });
    const either = (request: RefreshRequest<Token> | LoginRequest): Token =>
      'previous' in request ? request.previous : { accessToken: request.cause };
    new Reauthenticator(store, { refresh: either, login: either });
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
      | 'idle'
      | 'absent'
      | 'waiting'
      | 'authenticating'
      | 'backing-off'
      | 'failed'
      | 'halted'
      | 'closed'
    >();
  });
});
