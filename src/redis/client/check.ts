import type { Cluster, Redis } from 'ioredis';
import { InvalidOptionError } from '../../errors.js';
import { describeType } from '../../util/option-checks.js';

/**
 * Refuses a value that cannot be a template for connections, and names the alternative. Other settings of the client do not matter: our
 * connections overrule them.
 *
 * @throws InvalidOptionError
 */
export function checkClient(redis: unknown): Redis | Cluster {
  if (!isClient(redis)) throw refused(whatToGive(redis));
  if (redis.status === 'end') {
    throw refused('is closed; give a client that is open, or one made with lazyConnect');
  }
  const { db, keyPrefix, monitor } = redis.options as unknown as Record<string, unknown>;
  if (monitor) throw refused('is a monitor; give an ordinary client');
  // ioredis turns an invalid number into database 0, while the store would subscribe to another one.
  if (db !== undefined && !(Number.isSafeInteger(db) && Number(db) >= 0))
    throw refused('has a db that is no database; give a whole number from 0');
  if (keyPrefix !== undefined && keyPrefix !== null && typeof keyPrefix !== 'string')
    throw refused(`has a keyPrefix that is ${describeType(keyPrefix)}; give a string`);
  return redis;
}

function refused(why: string): InvalidOptionError {
  return new InvalidOptionError('redis', why);
}

function isClient(value: unknown): value is Redis | Cluster {
  return (
    typeof value === 'object' &&
    value !== null &&
    'duplicate' in value &&
    typeof value.duplicate === 'function' &&
    'options' in value &&
    typeof value.options === 'object' &&
    'status' in value
  );
}

function whatToGive(value: unknown): string {
  if (typeof value === 'function')
    return 'must be a client of ioredis, not its class: new Redis(options)';
  const object: object = typeof value === 'object' && value !== null ? value : {};
  if ('exec' in object && 'length' in object && !('duplicate' in object))
    return 'is a pipeline or transaction; give the client that it was made from';
  if ('duplicate' in object || 'sendCommand' in object)
    return 'is a client of another package; give one of ioredis, if only for the store';
  if ('host' in object || 'port' in object || 'url' in object)
    return 'must be a client of ioredis, not its options: new Redis(options)';
  return `must be a client of ioredis or a URL such as redis://127.0.0.1:6379, not ${describeType(value)}`;
}
