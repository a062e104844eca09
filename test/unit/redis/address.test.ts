import { expect, it } from 'vitest';
import { hostOr, parseAddress } from '../../../src/redis/client/address.js';

it.each([
  ['127.0.0.1:7001', { name: '127.0.0.1:7001', host: '127.0.0.1', port: 7001 }],
  ['redis.example:6379', { name: 'redis.example:6379', host: 'redis.example', port: 6379 }],
  ['::1:7001', { name: '::1:7001', host: '::1', port: 7001 }],
  // A server that does not know its own host means the one that it was asked at.
  [':7001', { name: 'asked:7001', host: 'asked', port: 7001 }],
  ['?:7001', { name: 'asked:7001', host: 'asked', port: 7001 }],
  ['7001', undefined],
  ['host:', undefined],
  ['host:0', undefined],
  ['host:x', undefined],
])('an address is read from %j as a redirection gives it', (text, expected) => {
  expect(parseAddress(text, 'asked')).toEqual(expected);
});

it.each([null, undefined, '', '?'])(
  'an address has the asked host where a server reports %j',
  (host) => {
    expect(hostOr(host, 'asked')).toBe('asked');
    expect(hostOr('other', 'asked')).toBe('other');
  },
);
