import { describe, expect, it, vi } from 'vitest';

import { MemoryCredentialStore } from '../../../src/index.js';
import { adviceFor, nearMiss } from '../../../src/util/near-miss.js';
import { ms, resolveOptions, type OptionsTable } from '../../../src/util/options.js';

describe('an unknown option', () => {
  it.each([
    ['ttl', 'ttlSeconds'],
    ['expiresat', 'expiresAt'],
    ['maxStaleness', 'maxStalenessMs'],
    ['desrialize', 'deserialize'],
  ])('%s is answered with the near one', (name, meant) => {
    expect(() => new MemoryCredentialStore({ key: 'a', [name]: 1 })).toThrow(
      `${name}: is not an option; did you mean ${meant}?`,
    );
  });

  it('that was renamed is answered with its name of today', () => {
    expect(() => new MemoryCredentialStore({ key: 'a', onError: () => {} } as never)).toThrow(
      /^onError: was renamed: give onCallbackError$/,
    );
    // An option of that name may never have been one of this table.
    expect(adviceFor('authenticate', ['key'])).toBeUndefined();
    expect(adviceFor('toString', ['key'])).toBeUndefined();
  });

  it('that is near none is only refused', () => {
    expect(nearMiss('colour', ['ttlSeconds', 'key'])).toBeUndefined();
    expect(() => new MemoryCredentialStore({ key: 'a', colour: 1 } as never)).toThrow(
      /^colour: is not an option$/,
    );
  });
});

it('a refused value is named by its kind, and never shown', () => {
  const make = (options: object) => () => new MemoryCredentialStore({ key: 'a', ...options });
  expect(make({ maxStalenessMs: 'canary' })).toThrow(/, not string$/);
  expect(make({ maxStalenessMs: Number.NaN })).toThrow(/, not NaN$/);
  expect(make({ maxStalenessMs: -1 })).toThrow(/, not a negative number$/);
  expect(make({ ttlSeconds: 1.5 })).toThrow(/, not a fraction$/);
});

it('a duration that looks like seconds warns once', () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const table: OptionsTable<{ leadMs?: number }> = {
    leadMs: ms({ default: 60_000, min: 0, suspectBelow: 1_000, cost: '' }),
  };
  try {
    for (const leadMs of [0, 60_000, 60, 60]) resolveOptions(table, { leadMs });
    expect(warn.mock.calls).toEqual([
      [
        'leadMs: 60 is a number of milliseconds; should it be 60,000, for 60 seconds?',
        'CredstreamWarning',
      ],
    ]);
  } finally {
    warn.mockRestore();
  }
});
