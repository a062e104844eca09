import { InvalidOptionError } from '../../errors.js';
import {
  callback,
  checkNames,
  option,
  resolvePart,
  type OptionalOption,
  type OptionsTable,
} from '../../util/options.js';
import { describeType } from '../../util/option-checks.js';
import type { UseContext, UseOptions } from '../options.js';
import { bearer } from './bearer.js';

/**
 * The method of a source of credentials that lends them to a function: of a `Reauthenticator`, a shared credential, or a stub in a test.
 *
 * @public
 */
export interface CredentialLender<T> {
  /** As `use()` of a `Reauthenticator`. */
  use<R>(
    fn: (credentials: T, context: Pick<UseContext<T>, 'signal'>) => R | PromiseLike<R>,
    options?: UseOptions,
  ): Promise<R>;
}

/**
 * Options of {@link authorizedFetch}.
 *
 * @public
 */
export interface AuthorizedFetchOptions<T> {
  /** Sends the request, in place of the global `fetch`: for a proxy, a pool of connections, or a test. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * The origins that may be sent the credentials, such as `https://api.example.com`. A request to another one is refused before it is sent.
   * Default: every origin that the caller names.
   */
  readonly audience?: string | readonly string[] | undefined;
  /**
   * The headers that carry the credentials. Default: `authorization: Bearer …` with the property `accessToken`, `access_token` or `token` of the
   * credentials, or with credentials that are a text. With another header no redirect is followed, because `fetch` would send it to any origin.
   */
  readonly headers?: ((credentials: T) => Readonly<Record<string, string>>) | undefined;
}

function origins(cost: string): OptionalOption<undefined> {
  return option({
    default: undefined,
    range: 'one origin, or several',
    cost,
    check: (value, name) => {
      const all = [value].flat();
      if (all.length === 0) throw new InvalidOptionError(name, 'must not be empty');
      for (const one of all) originOf(one, name);
    },
  });
}

function originOf(value: unknown, name: string): string {
  if (typeof value !== 'string' || !URL.canParse(value))
    throw new InvalidOptionError(
      name,
      `must be an origin such as https://api.example.com, not ${typeof value === 'string' ? 'another text' : describeType(value)}`,
    );
  const { origin, href } = new URL(value);
  if (href !== `${origin}/`)
    throw new InvalidOptionError(name, 'must be an origin, without a path');
  return origin;
}

type Open = 'audience' | 'fetch' | 'headers';

/** The options of `authorizedFetch`. */
export const AUTHORIZED_FETCH_OPTIONS: OptionsTable<AuthorizedFetchOptions<unknown>, Open> = {
  fetch: callback({
    default: undefined,
    shown: 'global `fetch`',
    cost: 'A function of your own must drop the headers itself when a redirect leaves the origin.',
  }),
  audience: origins('Without it a mistaken URL sends the credentials anywhere.'),
  headers: callback({
    default: undefined,
    shown: 'bearer token',
    cost: 'For API keys and other schemes. With another header than `authorization` no redirect is followed.',
  }),
};

/**
 * A `fetch` that sends valid credentials. A request that is answered with 401 is sent once more with the next credentials; its signal aborts when
 * the credentials are withdrawn. An answer with any other status is the caller's, and so is a second 401.
 *
 * The headers of the caller are kept, but for those that carry the credentials.
 *
 * A body that can be read only once, such as a stream or that of a `Request`, is never sent twice: its 401 goes to the caller, and the credentials are replaced for the
 * next request. The global `fetch` drops `authorization` when a redirect leaves the origin. It would send other headers on: with them no redirect
 * is followed, and the caller gets the answer with the status 3xx.
 *
 * @param source - lends the credentials: a `Reauthenticator`, a shared credential, or a stub
 * @returns a function that can be used in place of `fetch`. It rejects with the errors of `fetch`, of `use()` of the source, with a
 *   `WithdrawnError` when the credentials are withdrawn meanwhile, and with an InvalidOptionError outside of the `audience`
 * @throws InvalidOptionError
 * @example
 * ```ts
 * import { authorizedFetch, type Reauthenticator } from 'credstream';
 *
 * async function orders(auth: Reauthenticator<{ accessToken: string }>): Promise<unknown> {
 *   const call = authorizedFetch(auth, { audience: 'https://api.example.com' });
 *   const response = await call('https://api.example.com/orders');
 *   return response.json();
 * }
 * ```
 * @public
 */
export function authorizedFetch<T>(
  source: CredentialLender<T>,
  options: AuthorizedFetchOptions<NoInfer<T>> = {},
): typeof globalThis.fetch {
  checkNames(AUTHORIZED_FETCH_OPTIONS, options);
  // Not bound to the context of this call: a request is the work of its own caller.
  const {
    fetch: send,
    audience,
    headers: headersFor = bearer,
  } = resolvePart<AuthorizedFetchOptions<T>, Open>(AUTHORIZED_FETCH_OPTIONS, options);
  const allowed = audience === undefined ? undefined : new Set([audience].flat().map(toOrigin));
  return async (input, init = {}) => {
    const request = isRequest(input) ? input : undefined;
    const { origin } = new URL(isRequest(input) ? input.url : input);
    if (allowed?.has(origin) === false)
      throw new InvalidOptionError('input', `leads to ${origin}, outside of the audience`);
    const own = init.signal ?? request?.signal;
    const body = init.body ?? request?.body;
    const callers = init.headers ?? request?.headers;
    const asked = init.redirect ?? request?.redirect ?? 'follow';
    const call = (credentials: T, { signal }: { readonly signal: AbortSignal }) => {
      const headers = new Headers(callers);
      const given = headersFor(credentials) as unknown;
      if (typeof given !== 'object' || given === null)
        throw new InvalidOptionError(
          'headers',
          `must return an object, not ${describeType(given)}`,
        );
      const carriers = carriersOf(given as Readonly<Record<string, string>>);
      for (const [name, value] of carriers) headers.set(name, value);
      const isSafe = carriers.every(([name]) => isDroppedByFetch(name));
      // Not the `fetch` of the set-up, which a test or an instrumentation may replace.
      return (send ?? globalThis.fetch)(input, {
        ...init,
        headers,
        signal,
        redirect: isSafe ? asked : unfollowed(asked),
      });
    };
    return source.use(call, {
      signal: own ?? undefined,
      rejected: isRefused,
      repeat: isRepeatable(body),
    });
  };
}

function carriersOf(given: Readonly<Record<string, string>>): [string, string][] {
  try {
    return [...new Headers(given)];
  } catch {
    // The error quotes the value, which is the secret.
    throw new InvalidOptionError('headers', 'gave a name or a value that no header can have');
  }
}

/** Whether `fetch` itself drops a header when a redirect leaves the origin. */
function isDroppedByFetch(name: string): boolean {
  return /^(?:authorization|cookie|proxy-authorization)$/i.test(name);
}

function unfollowed(asked: Request['redirect']): Request['redirect'] {
  return asked === 'follow' ? 'manual' : asked;
}

function toOrigin(text: string): string {
  return new URL(text).origin;
}

/** Also a `Request` of another realm or another implementation. */
function isRequest(input: unknown): input is Request {
  return typeof input === 'object' && input !== null && 'url' in input && 'headers' in input;
}

function isRefused(outcome: unknown): boolean {
  return typeof outcome === 'object' && outcome !== null && 'status' in outcome
    ? outcome.status === 401
    : false;
}

/** Whether a body can be sent twice. Streams, iterators, and whatever else is read while it is sent, cannot. */
function isRepeatable(body: unknown): boolean {
  if (body === undefined || body === null || typeof body === 'string') return true;
  if (ArrayBuffer.isView(body)) return true;
  const tag = Object.prototype.toString.call(body).slice(8, -1);
  return [
    'ArrayBuffer',
    'SharedArrayBuffer',
    'Blob',
    'File',
    'FormData',
    'URLSearchParams',
  ].includes(tag);
}
