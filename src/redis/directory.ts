import type { Cluster, Redis } from 'ioredis';
import { CredentialDirectory } from '../stores/directory/credential-directory.js';
import {
  DIRECTORY_OPTIONS,
  resolveDirectoryOptions,
  type CredentialDirectoryOptions,
} from '../stores/directory/options.js';
import { checkKey, ownPrefix } from '../util/option-checks.js';
import { RedisBackend } from './backend.js';
import {
  CONNECTION_OPTIONS,
  resolveSettings,
  type RedisConnectionOptions,
} from './connection-options.js';
import { readTemplate } from './client/template.js';

/**
 * Options of a {@link RedisCredentialDirectory}.
 *
 * @public
 */
export interface RedisCredentialDirectoryOptions<T>
  extends CredentialDirectoryOptions<T>, RedisConnectionOptions {}

const TABLE = { ...DIRECTORY_OPTIONS, ...CONNECTION_OPTIONS };

/**
 * The credentials of many users, tenants or services, which many processes share through Redis.
 *
 * @remarks A directory takes one subscription of two patterns, one heartbeat and one timer, no matter how many credentials it watches,
 *   over the connections that it shares with all stores on the same client. The bytes at `prefix` + id are exactly what `serialize`
 *   returned.
 *
 * @example
 * ```ts
 * import { Redis } from 'ioredis';
 * import { RedisCredentialDirectory } from 'credstream';
 *
 * interface Tokens {
 *   accessToken: string;
 *   refreshToken: string;
 * }
 *
 * await using tokens = new RedisCredentialDirectory<Tokens>(new Redis(), {
 *   prefix: 'tenant:',
 *   ttlSeconds: 30 * 86_400,
 * });
 * tokens.changes$.subscribe((change) => {
 *   console.log(change.id, change.type);
 * });
 * await using acme = tokens.store('acme');
 * await acme.ready();
 * console.log(acme.current?.expiresAt);
 * ```
 * @public
 */
export class RedisCredentialDirectory<T> extends CredentialDirectory<T> {
  /**
   * Sends no command yet.
   *
   * @param redis - a URL, or a client of ioredis that is used as a template, like that of a store; a `keyPrefix` of the client is put before `prefix`
   * @throws InvalidOptionError
   */
  constructor(redis: string | Redis | Cluster, options: RedisCredentialDirectoryOptions<T>) {
    const resolved = resolveDirectoryOptions(options, TABLE);
    const settings = resolveSettings(options);
    // The prefix is applied here, because channels and patterns of ioredis leave it out.
    const prefix = readTemplate(redis).keyPrefix + resolved.key;
    const keyPrefix = checkKey(prefix, 'prefix', ownPrefix(settings.namespace));
    super(resolved, keyPrefix, RedisBackend.acquire(redis, settings, resolved.name));
  }
}
