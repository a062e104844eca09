import { describe, expect, it } from 'vitest';

import { refusalOf } from '../../../../src/reauthentication/judgment/refusal.js';

const error = (fields: object): Error => Object.assign(new Error('refused'), fields);

describe('a code of OAuth', () => {
  it.each<[string, unknown]>([
    ['openid-client 5 (OPError)', error({ error: 'invalid_grant', error_description: 'expired' })],
    [
      'openid-client 6, oauth4webapi (ResponseBodyError)',
      error({
        code: 'OAUTH_RESPONSE_BODY_ERROR',
        error: 'invalid_grant',
        status: 400,
        cause: { error: 'invalid_grant' },
      }),
    ],
    ['oauth4webapi, wrapped', error({ cause: error({ cause: { error: 'invalid_grant' } }) })],
    [
      'axios',
      error({
        code: 'ERR_BAD_REQUEST',
        response: { status: 400, data: { error: 'invalid_grant' } },
      }),
    ],
    [
      'google-auth-library (GaxiosError)',
      error({ response: { data: { error: 'invalid_grant' } } }),
    ],
    [
      'simple-oauth2 (Boom)',
      error({ isBoom: true, data: { isResponseError: true, payload: { error: 'invalid_grant' } } }),
    ],
    ['msal-node (ServerError)', error({ errorCode: 'invalid_grant', subError: 'bad_token' })],
    [
      'got',
      error({ code: 'ERR_NON_2XX_3XX_RESPONSE', response: { body: { error: 'invalid_grant' } } }),
    ],
    ['passport-oauth2 (TokenError)', error({ code: 'invalid_grant', status: 400 })],
    ['a body that was thrown as it came', { error: 'invalid_grant' }],
    [
      'axios, with a body that was left as text',
      error({ response: { status: 400, data: '{"error":"invalid_grant"}' } }),
    ],
    ['a message that quotes the answer', new Error('400 {"error":"invalid_grant"}')],
  ])('is found in the error of %s', (_library, thrown) => {
    expect(refusalOf(thrown)).toEqual({ of: 'login', oauthError: 'invalid_grant' });
  });

  it.each([
    'access_denied',
    'expired_token',
    'interaction_required',
    'login_required',
    'consent_required',
  ])('may be %s', (code) => {
    expect(refusalOf(error({ error: code }))).toEqual({ of: 'login', oauthError: code });
  });

  it.each(['invalid_client', 'unauthorized_client', 'unsupported_grant_type', 'invalid_scope'])(
    'blames the client for %s',
    (code) => {
      expect(refusalOf(error({ error: code }))).toEqual({ of: 'client', oauthError: code });
    },
  );

  it('blames the login for what Atlassian says of a refresh token that has ended', () => {
    const data = { error: 'unauthorized_client', error_description: 'refresh_token is invalid' };
    const refusal = { of: 'login', oauthError: 'unauthorized_client' };
    expect(refusalOf(error({ response: { status: 403, data } }))).toEqual(refusal);
  });

  it('is found in the cause of fetch only to the depth limit', () => {
    const loop: { cause?: unknown } = error({});
    loop.cause = loop;
    expect(refusalOf(loop)).toBeUndefined();
  });

  it.each<[string, unknown]>([
    ['a lost connection', error({ code: 'ECONNRESET' })],
    ['an aborted call', new DOMException('aborted', 'AbortError')],
    ['a busy provider', error({ error: 'temporarily_unavailable' })],
    ['a slow poll', error({ error: 'slow_down' })],
    ['a server error', error({ response: { status: 500, data: '<html>invalid_grant</html>' } })],
    ['a message only', new Error('invalid_grant')],
    ['a string', 'invalid_grant'],
    ['nothing', undefined],
    ['null', null],
    [
      'what throws when it is looked at',
      Object.defineProperty({}, 'error', {
        get: () => {
          throw new Error('no');
        },
      }),
    ],
    ['a proxy that is gone', revoked()],
  ])('is not found in %s', (_name, thrown) => {
    expect(refusalOf(thrown)).toBeUndefined();
  });
});

describe('the end of a login without a code of OAuth', () => {
  it.each<[string, unknown]>([
    ['GitHub', error({ error: 'bad_refresh_token' })],
    ['Slack, a spent token', error({ data: { ok: false, error: 'invalid_refresh_token' } })],
    ['Slack, a revoked token', error({ data: { ok: false, error: 'token_revoked' } })],
    ['HubSpot', error({ response: { status: 400, data: { status: 'BAD_REFRESH_TOKEN' } } })],
    ['Facebook', error({ response: { data: { error: { code: 190, type: 'OAuthException' } } } })],
    ['AWS', error({ name: 'InvalidGrantException' })],
    ['Firebase', error({ response: { data: { error: { code: 400, message: 'TOKEN_EXPIRED' } } } })],
    ['Supabase', error({ status: 400, code: 'refresh_token_already_used' })],
  ])('is found in the error of %s', (_provider, thrown) => {
    expect(refusalOf(thrown)).toEqual({ of: 'login', oauthError: undefined });
  });

  it.each<[string, unknown]>([
    ['AWS', error({ name: 'InvalidClientException' })],
    ['GitHub', error({ error: 'incorrect_client_credentials' })],
  ])('is not what %s says of a wrong client', (_provider, thrown) => {
    expect(refusalOf(thrown)).toEqual({ of: 'client', oauthError: undefined });
  });

  it('is not another code of Facebook, nor the number alone', () => {
    const other = error({ response: { data: { error: { code: 4, type: 'OAuthException' } } } });
    expect(refusalOf(other)).toBeUndefined();
    expect(refusalOf(error({ response: { data: { error: { code: 190 } } } }))).toBeUndefined();
  });
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
