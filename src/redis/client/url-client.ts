import { Redis } from 'ioredis';
import { InvalidOptionError } from '../../errors.js';

/**
 * Makes the template of a URL. It never connects.
 *
 * @throws InvalidOptionError, which does not show the URL: it may hold a password
 */
export function makeUrlClient(url: string): Redis {
  if (!/^rediss?:\/\//i.test(url) || !URL.canParse(url))
    throw new InvalidOptionError(
      'redis',
      'must be a URL that begins with redis:// or rediss://, or a client of ioredis',
    );
  return new Redis(url, { lazyConnect: true });
}
