import { runInNewContext } from 'node:vm';

import { describe, expect, it } from 'vitest';

import { isProgramError } from '../../../../src/reauthentication/judgment/program-error.js';

/** The error that a function throws. */
function thrownBy(fn: () => unknown): unknown {
  try {
    return fn();
  } catch (error) {
    return error;
  }
}

const nothing = undefined as unknown as { readonly token: string; readonly fetch: () => void };

describe('a mistake in the program', () => {
  it.each<[string, unknown]>([
    ['a property of undefined', thrownBy(() => nothing.token)],
    ['a property named as the network', thrownBy(() => nothing.fetch())],
    ['an unknown name, in another realm', thrownBy(() => runInNewContext('noSuchName') as unknown)],
    ['an argument of Node that is wrong', thrownBy(() => Buffer.from(1 as unknown as string))],
    ['a length out of range', thrownBy(() => 'x'.repeat(-1))],
    ['an address that is none', thrownBy(() => new URL('no address'))],
    [
      'the same, in fetch',
      new TypeError('Failed to parse URL', { cause: thrownBy(() => new URL('x')) }),
    ],
  ])('is %s', (_name, error) => {
    expect(isProgramError(error)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['a network that failed', new TypeError('fetch failed', { cause: new Error('no route') })],
    ['the same, in a browser', new TypeError('Failed to fetch')],
    ['an answer cut off', new TypeError('terminated')],
    ['a page in place of JSON', thrownBy(() => JSON.parse('<html>') as unknown)],
    ['an error of the provider', new Error('503')],
    ['a text', 'no'],
    ['nothing', undefined],
  ])('is not %s', (_name, error) => {
    expect(isProgramError(error)).toBe(false);
  });
});
