import type { Cluster, Redis } from 'ioredis';
import { ObservableCredentialStore, ownCredential } from '../stores/observable-credential-store.js';
import { checkKey, ownPrefix } from '../util/option-checks.js';
import {
  resolveStoreOptions,
  STORE_OPTIONS,
  type CredentialStoreOptions,
} from '../stores/options.js';
import { RedisBackend } from './backend.js';
import { readTemplate } from './client/template.js';
import {
  CONNECTION_OPTIONS,
  resolveSettings,
  type RedisConnectionOptions,
} from './connection-options.js';

/**
 * Options of a {@link RedisCredentialStore}.
 *
 * @public
 */
export interface RedisCredentialStoreOptions<T>
  extends CredentialStoreOptions<T>, RedisConnectionOptions {}

const TABLE = { ...STORE_OPTIONS, ...CONNECTION_OPTIONS };

/**
 * A credential that many processes share through Redis. Every process learns at once when the credential is saved, renewed, expires, is
 * cleared or evicted, no matter which client did it.
 *
 * The bytes at `key` are exactly what `serialize` returned, so that any other client can read and write them.
 *
 * @example
 * ```ts
 * import { RedisCredentialStore } from 'credstream';
 *
 * interface Tokens {
 *   accessToken: string;
 *   refreshToken: string;
 *   expiresAt: number;
 * }
 *
 * await using store = new RedisCredentialStore<Tokens>('redis://localhost:6379', {
 *   key: 'crm:tokens',
 *   ttlSeconds: 30 * 86_400,
 *   expiresAt: (tokens) => tokens.expiresAt,
 * });
 * store.credentials$.subscribe((tokens) => {
 *   console.log(tokens === undefined ? 'nobody is logged in' : 'logged in');
 * });
 * ```
 * @public
 */
export class RedisCredentialStore<T> extends ObservableCredentialStore<T> {
  /**
   * Sends no command yet.
   *
   * @param redis - a URL of one server, `redis://` or `rediss://`, which may hold user name, password and database; stores on equal URLs share
   *   their connections until the last of them is closed. Or a client of ioredis, used as a template: the store opens two connections of its own,
   *   three under RESP2, with the options of the client (in a cluster to each master), and one more from the first write that waits for
   *   replicas; all stores on the same client share them. The store never uses or closes the client itself. A `keyPrefix` of the client is put
   *   before `key`.
   * @throws InvalidOptionError
   */
  constructor(redis: string | Redis | Cluster, options: RedisCredentialStoreOptions<T>) {
    const resolved = resolveStoreOptions(options, TABLE);
    const settings = resolveSettings(options);
    // The prefix is applied here, because channels and patterns of ioredis leave it out.
    const { keyPrefix } = readTemplate(redis);
    const key = checkKey(keyPrefix + resolved.key, 'key', ownPrefix(settings.namespace));
    super(ownCredential(resolved, key, RedisBackend.acquire(redis, settings, resolved.name)));
  }
}
