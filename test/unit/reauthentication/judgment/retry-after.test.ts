import { describe, expect, it } from 'vitest';

import { retryAfterMs } from '../../../../src/reauthentication/judgment/retry-after.js';

const NOW = Date.UTC(2030, 0, 1);
const error = (fields: object): Error => Object.assign(new Error('busy'), fields);

describe('the pause that a provider asks for', () => {
  it.each<[string, unknown, number]>([
    [
      'a response thrown as it came',
      new Response(null, { headers: { 'retry-after': '10' } }),
      10_000,
    ],
    ['an error with Headers', error({ headers: new Headers({ 'Retry-After': '2' }) }), 2_000],
    ['axios', error({ response: { status: 429, headers: { 'retry-after': '30' } } }), 30_000],
    ['a number in place of the text', error({ headers: { 'retry-after': 5 } }), 5_000],
    ['a date', error({ headers: { 'retry-after': 'Tue, 01 Jan 2030 00:01:00 GMT' } }), 60_000],
    [
      'a date that has passed',
      error({ headers: { 'retry-after': 'Tue, 01 Jan 2029 00:00:00 GMT' } }),
      0,
    ],
    ['milliseconds', error({ headers: { 'retry-after-ms': '1500', 'retry-after': '9' } }), 1_500],
    ["Slack's client", error({ code: 'slack_webapi_rate_limited_error', retryAfter: 3 }), 3_000],
    ['an error of the caller', error({ retryAfterMs: 700 }), 700],
    [
      'a wrapped error',
      new Error('x', { cause: error({ headers: { 'retry-after': '1' } }) }),
      1_000,
    ],
  ])('is read from %s', (_client, thrown, pauseMs) => {
    expect(retryAfterMs(thrown, NOW)).toBe(pauseMs);
  });

  it.each<[string, unknown]>([
    ['an error without headers', error({})],
    ['a word', error({ headers: { 'retry-after': 'soon' } })],
    ['a sign', error({ headers: { 'retry-after': '-5' } })],
    ['no number', error({ retryAfterMs: Number.NaN, retryAfter: '3' })],
    ['too large a number', error({ headers: { 'retry-after': '9'.repeat(400) } })],
    ['nothing', undefined],
  ])('is not known from %s', (_name, thrown) => {
    expect(retryAfterMs(thrown, NOW)).toBeUndefined();
  });
});
