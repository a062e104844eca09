import { describe, expect, it } from 'vitest';

import { isUnauthorized } from '../../../../src/reauthentication/judgment/unauthorized.js';

const error = (fields: object): Error => Object.assign(new Error('refused'), fields);

describe('refused credentials', () => {
  it.each<[string, unknown]>([
    ['a response of fetch', new Response(null, { status: 401 })],
    ['a result of axios', { status: 401, data: '' }],
    ['a status as text', error({ status: '401' })],
    ['axios', error({ response: { status: 401 } })],
    ['got', error({ response: { statusCode: 401 } })],
    ['Octokit', error({ name: 'HttpError', status: 401 })],
    ['gaxios', error({ code: '401', response: {} })],
    ['superagent', error({ status: 401, response: { statusCode: 401 } })],
    ['@hapi/boom', error({ isBoom: true, output: { statusCode: 401 } })],
    ['openid-client', error({ status: 401, code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' })],
    ['the AWS SDK', error({ name: 'ExpiredTokenException', $metadata: { httpStatusCode: 400 } })],
    ['the AWS SDK, by status', error({ $metadata: { httpStatusCode: 401 } })],
    ['gRPC', Object.assign(new Error('16 UNAUTHENTICATED: no'), { code: 16 })],
    ['gRPC, by metadata', error({ code: 16, metadata: {} })],
    ['a wrapped error', new Error('load failed', { cause: error({ status: 401 }) })],
    ['jsforce', error({ errorCode: 'INVALID_SESSION_ID' })],
    ['Microsoft Graph', error({ code: 'InvalidAuthenticationToken' })],
    ['pg', error({ code: '28P01' })],
    ['mysql2', error({ code: 'ER_ACCESS_DENIED_ERROR', errno: 1045 })],
    ['the MongoDB driver', error({ code: 18, codeName: 'AuthenticationFailed' })],
    [
      'an answer of GraphQL',
      { status: 200, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
    ],
    [
      'graphql-request',
      error({ response: { status: 200, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] } }),
    ],
    ['an answer of Slack', { ok: false, error: 'token_expired' }],
    ["Slack's client", error({ data: { ok: false, error: 'invalid_auth' } })],
  ])('are seen in %s', (_client, outcome) => {
    expect(isUnauthorized(outcome)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['an answer', new Response(null, { status: 200 })],
    ['a forbidden call', error({ status: 403 })],
    ['an error of a server that quotes 401', error({ status: 500, message: '401' })],
    ['a number of gRPC in another error', error({ code: 16 })],
    ['the code of a result', { code: 401 }],
    ['a word in a result', { name: 'ExpiredToken', error: 'invalid_auth' }],
    ['another error of GraphQL', { errors: [{ extensions: { code: 'FORBIDDEN' } }, null] }],
    ['a lost connection', error({ code: 'ECONNRESET' })],
    ['a number', 401],
    ['a text', '401'],
    ['nothing', undefined],
    ['null', null],
    ['a proxy that is gone', revoked()],
  ])('are not seen in %s', (_name, outcome) => {
    expect(isUnauthorized(outcome)).toBe(false);
  });
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable(new Error('no'), {});
  revoke();
  return proxy;
}
