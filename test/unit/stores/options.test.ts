import { describe, expect, it } from 'vitest';

import { OptionSharing } from '../../../src/util/option-sharing.js';
import { resolveStoreOptions } from '../../../src/stores/options.js';

const kinds = new OptionSharing();

const shared = (options: object) =>
  kinds.intern(resolveStoreOptions({ key: 'k', ...options }).shared, 'onCallbackError');

describe('resolved options', () => {
  it('are one object for equal options', () => {
    const serialize = String;
    const deserialize = String;
    const onCallbackError = (): void => {};
    expect(shared({ key: 'a' })).toBe(shared({ key: 'b' }));
    expect(shared({ maxBytes: 2 ** 20 })).toBe(shared({}));
    expect(shared({ serialize, deserialize, onCallbackError })).toBe(
      shared({ serialize, deserialize, onCallbackError }),
    );
    expect(shared({ expiresAt: () => 1 })).toBe(shared({ expiresAt: () => 2 }));
  });

  it('are separate objects where anything differs', () => {
    const all = [
      shared({}),
      shared({ maxBytes: 7 }),
      shared({ abortOnSaved: true }),
      shared({ ttlSeconds: 1 }),
      shared({ ttlSeconds: () => 1 }),
      shared({ ttlSeconds: () => 1 }),
      shared({ serialize: () => 'a', deserialize: () => 'a' }),
      shared({ serialize: () => 'a', deserialize: () => 'a' }),
      shared({ onCallbackError: () => {} }),
      shared({ onCallbackError: () => {} }),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it('are found again among those of other kinds of stores', () => {
    const first = shared({ maxBytes: 1 });
    for (let kind = 2; kind <= 4; kind += 1) shared({ maxBytes: kind });
    expect(shared({ maxBytes: 1 })).toBe(first);
  });
});
