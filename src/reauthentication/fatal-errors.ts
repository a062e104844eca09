import { OAUTH_ERROR_CODES, type OAuthErrorCode } from '../backend/attempts.js';

const FATAL: ReadonlySet<unknown> = new Set(OAUTH_ERROR_CODES);

/** The depth of the search through the `cause` of errors. */
const DEPTH = 5;

/**
 * OAuth's error code in an error of a client library, if another try cannot succeed.
 *
 * The search covers the places where `openid-client`, `oauth4webapi` (`error`), `google-auth-library`, `axios` (`response.data.error`), `simple-oauth2`,
 * `@hapi/boom` (`data.payload.error`), `@azure/msal-node` (`errorCode`), `passport-oauth2` and others (`code`, `body.error`) put it.
 */
export function fatalCode(error: unknown): OAuthErrorCode | undefined {
  let at: unknown = error;
  for (let depth = 0; depth < DEPTH && isObject(at); depth += 1) {
    for (const place of PLACES) {
      const code = readAt(at, place);
      if (FATAL.has(code)) return code as OAuthErrorCode;
    }
    at = readAt(at, ['cause']);
  }
  return undefined;
}

const PLACES: readonly (readonly string[])[] = [
  ['error'],
  ['errorCode'],
  ['code'],
  ['body', 'error'],
  ['data', 'error'],
  ['data', 'payload', 'error'],
  ['response', 'data', 'error'],
  ['response', 'body', 'error'],
];

/** The value at a path of names; `undefined` where the path breaks off, or a getter throws. */
export function readAt(from: unknown, path: readonly string[]): unknown {
  let at: unknown = from;
  try {
    for (const name of path) {
      if (!isObject(at)) return undefined;
      at = (at as Record<string, unknown>)[name];
    }
    return at;
  } catch {
    // A getter of a caller's error may throw.
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
