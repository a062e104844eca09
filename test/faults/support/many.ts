import type { Redis } from 'ioredis';

import { RedisCredentialStore } from '../../../src/index.js';
import { FAST, listen, type TextOptions, type Watched } from './faults.js';

/** Text stores with {@link FAST} settings on one client, as an application has them. Who calls it closes them. */
export function watchKeys(
  client: Redis,
  keys: readonly string[],
  options: TextOptions = {},
): Watched[] {
  return keys.map((key) =>
    listen(
      new RedisCredentialStore<string>(client, {
        serialize: (text) => text,
        deserialize: (bytes) => bytes.toString(),
        ...FAST,
        ...options,
        key,
      }),
    ),
  );
}
