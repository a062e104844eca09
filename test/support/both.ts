import type { AttemptRequest, ReauthenticationCause } from 'credstream';

type AnyRequest = AttemptRequest & { readonly cause: ReauthenticationCause };

/** One function as `refresh` and as `login`: right for credentials that any process may get by itself. */
export function both<R>(fn: (request: AnyRequest) => R): {
  readonly refresh: typeof fn;
  readonly login: typeof fn;
} {
  return { refresh: fn, login: fn };
}

/** The same for a pool. */
export function bothOf<R>(fn: (request: AnyRequest, id: string) => R): {
  readonly refresh: typeof fn;
  readonly login: typeof fn;
} {
  return { refresh: fn, login: fn };
}
