import { OAUTH_ERROR_CODES, type OAuthErrorCode } from '../../backend/attempts.js';
import { bodiesOf, causesOf, readAt, type Place } from './error-shapes.js';

/** The OAuth codes that blame the client that asks, not the login: another instance may be set up correctly. */
const OF_CLIENT: readonly OAuthErrorCode[] = [
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
];

const CODES: ReadonlySet<unknown> = new Set(OAUTH_ERROR_CODES);

/** Words of providers that do not use OAuth's own codes, for a login that has ended. */
const ENDED_LOGIN: ReadonlySet<unknown> = new Set([
  // GitHub
  'bad_refresh_token',
  // Slack
  'invalid_refresh_token',
  'token_revoked',
  'account_inactive',
  // HubSpot
  'BAD_REFRESH_TOKEN',
  // Supabase
  'refresh_token_already_used',
  'refresh_token_not_found',
  'session_not_found',
  'session_expired',
  // Firebase, Google Identity Platform
  'INVALID_REFRESH_TOKEN',
  'TOKEN_EXPIRED',
  'USER_DISABLED',
  'USER_NOT_FOUND',
  // AWS
  'InvalidGrantException',
]);

/** Words of providers that do not use OAuth's own codes, for a client that is set up wrongly. */
const WRONG_CLIENT: ReadonlySet<unknown> = new Set([
  // AWS
  'InvalidClientException',
  'UnauthorizedClientException',
  // GitHub
  'incorrect_client_credentials',
  // Slack
  'bad_client_secret',
  'invalid_client_id',
]);

const IN_ERROR: readonly Place[] = [['error'], ['errorCode'], ['code'], ['name']];
const IN_BODY: readonly Place[] = [['error'], ['error', 'message'], ['status']];

/** A refusal of the provider that another try with the same credentials, or by the same instance, does not change. */
export interface Refusal {
  /** `login`: only a person can mend it. `client`: this instance is set up wrongly. */
  readonly of: 'login' | 'client';
  /** OAuth's code, if the provider used one. */
  readonly oauthError: OAuthErrorCode | undefined;
}

/**
 * The refusal in an error of a client library.
 *
 * The search covers the places where `openid-client`, `oauth4webapi` (`error`), `google-auth-library`, `axios` (`response.data.error`), `simple-oauth2`,
 * `@hapi/boom` (`data.payload.error`), `@azure/msal-node` (`errorCode`), `passport-oauth2` and others (`code`, `body.error`) put a code, bodies
 * that were left as text, and the words of large providers that do not use OAuth's codes.
 */
export function refusalOf(error: unknown): Refusal | undefined {
  for (const at of causesOf(error)) {
    const bodies = bodiesOf(at);
    const words = [
      ...IN_ERROR.map((place) => readAt(at, place)),
      ...bodies.flatMap((body) => IN_BODY.map((place) => readAt(body, place))),
      quotedCode(readAt(at, ['message'])),
    ];
    const code = words.find((word): word is OAuthErrorCode => CODES.has(word));
    if (code !== undefined) {
      const isClient = OF_CLIENT.includes(code) && ![at, ...bodies].some(blamesRefreshToken);
      return { of: isClient ? 'client' : 'login', oauthError: code };
    }
    const hasEnded = words.some((word) => ENDED_LOGIN.has(word)) || bodies.some(isInvalidSession);
    if (hasEnded) return { of: 'login', oauthError: undefined };
    if (words.some((word) => WRONG_CLIENT.has(word)))
      return { of: 'client', oauthError: undefined };
  }
  return undefined;
}

/** The code in a message that quotes the provider's answer: `400 {"error":"invalid_grant"}`. */
function quotedCode(message: unknown): string | undefined {
  if (typeof message !== 'string') return undefined;
  return /"error"\s*:\s*"(\w{1,64})"/.exec(message.slice(0, 2_048))?.[1];
}

/** Atlassian says `unauthorized_client` of a refresh token that has ended. */
function blamesRefreshToken(body: object): boolean {
  const text = readAt(body, ['error_description']);
  return typeof text === 'string' && /refresh.?token/i.test(text);
}

/** Facebook's code of an access token that has ended, or was revoked. */
function isInvalidSession(body: object): boolean {
  return (
    readAt(body, ['error', 'type']) === 'OAuthException' && readAt(body, ['error', 'code']) === 190
  );
}
