import { describe, expect, it } from 'vitest';

import { isAnswerLost } from '../../../../src/reauthentication/judgment/lost-answer.js';

const error = (fields: object): Error => Object.assign(new Error('lost'), fields);
const fetchFailed = (cause: object): Error => new TypeError('fetch failed', { cause });

describe('an answer that was lost after the request went out', () => {
  it.each<[string, unknown]>([
    ['a connection that was reset', error({ code: 'ECONNRESET' })],
    ['the same, in fetch', fetchFailed(error({ code: 'UND_ERR_SOCKET' }))],
    [
      'an answer cut off',
      new TypeError('terminated', { cause: error({ code: 'UND_ERR_SOCKET' }) }),
    ],
    ['no headers in time', fetchFailed(error({ code: 'UND_ERR_HEADERS_TIMEOUT' }))],
    ['a deadline of the caller', new DOMException('timed out', 'TimeoutError')],
    ['an aborted call', new DOMException('aborted', 'AbortError')],
    ['a deadline of axios', error({ code: 'ECONNABORTED' })],
    ['a silent connection', error({ code: 'ETIMEDOUT', syscall: 'read' })],
    ['a gateway', error({ response: { status: 504 } })],
  ])('is seen in %s', (_name, thrown) => {
    expect(isAnswerLost(thrown)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['a refused connection', fetchFailed(error({ code: 'ECONNREFUSED', syscall: 'connect' }))],
    ['an unknown host', fetchFailed(error({ code: 'ENOTFOUND', syscall: 'getaddrinfo' }))],
    ['no connection in time', fetchFailed(error({ code: 'UND_ERR_CONNECT_TIMEOUT' }))],
    ['the same, from the system', error({ code: 'ETIMEDOUT', syscall: 'connect' })],
    ['a busy provider', error({ status: 429 })],
    ['a provider that broke down, and said so', error({ status: 500 })],
    ['a provider under maintenance', error({ status: 503 })],
    ['a refusal', error({ status: 400, error: 'invalid_grant' })],
    ['a mistake', new TypeError('undefined is not a function')],
    ['nothing', undefined],
  ])('is not seen in %s', (_name, thrown) => {
    expect(isAnswerLost(thrown)).toBe(false);
  });
});
