import { describe, expect, it } from 'vitest';

import { fatalCode } from '../../../src/reauthentication/fatal-errors.js';

const error = (fields: object): Error => Object.assign(new Error('refused'), fields);

describe('a fatal OAuth code', () => {
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
  ])('is found in the error of %s', (_library, thrown) => {
    expect(fatalCode(thrown)).toBe('invalid_grant');
  });

  it.each([
    'invalid_client',
    'unauthorized_client',
    'unsupported_grant_type',
    'invalid_scope',
    'access_denied',
    'interaction_required',
    'login_required',
    'consent_required',
  ])('may be %s', (code) => {
    expect(fatalCode(error({ error: code }))).toBe(code);
  });

  it('is found in the cause of fetch only to the depth limit', () => {
    const loop: { cause?: unknown } = error({});
    loop.cause = loop;
    expect(fatalCode(loop)).toBeUndefined();
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
    expect(fatalCode(thrown)).toBeUndefined();
  });
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
