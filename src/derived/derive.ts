import { bindToContext } from '../time/async-context.js';
import {
  internalsOf,
  type ObservableCredentialStore,
} from '../stores/observable-credential-store.js';
import { InvalidOptionError } from '../errors.js';
import { describeType } from '../util/option-checks.js';
import { resolveDeriveOptions, type DeriveContext, type DeriveOptions } from './options.js';
import type { Derived } from './derived.js';
import { DerivedValue } from './value.js';

/**
 * Builds a value from the credential of a store (an API client, a connection pool), shares it, builds a new value for each new credential,
 * and disposes of the old value after its last use.
 *
 * @remarks
 * `create` is called once for each credential: on first use, from then on as soon as a new credential comes. A failed call is repeated,
 * with pauses that grow from about 1 s to 60 s, until a call succeeds or another credential comes. A `renewed` change, which moves only
 * the end of a credential, builds nothing. Nothing is built from a credential that is withheld.
 *
 * @param create - builds the value; may be async, and should stop when its signal aborts. A result that comes too late is disposed of
 * @throws InvalidOptionError, ClosedError when the store is closed
 *
 * @example
 * ```ts
 * import { derive, MemoryCredentialStore } from 'credstream';
 *
 * await using store = new MemoryCredentialStore<{ token: string }>({ key: 'api' });
 * await store.save({ token: 'one' });
 * await using headers = derive(store, ({ token }) => ({ authorization: `Bearer ${token}` }));
 * console.log(await headers.use((value) => Object.keys(value)));
 * ```
 * @public
 */
export function derive<T, V>(
  store: ObservableCredentialStore<T>,
  create: (credentials: T, context: DeriveContext) => V | PromiseLike<V>,
  options: DeriveOptions<NoInfer<V>> = {},
): Derived<V> {
  const internals = internalsOf(store);
  if (typeof create !== 'function') {
    throw new InvalidOptionError('create', `must be a function, not ${describeType(create)}`);
  }
  const { clock, random } = internals.backend;
  const resolved = resolveDeriveOptions<V>(options);
  return new DerivedValue<T, V>(internals, {
    options: resolved,
    clock,
    random,
    create: bindToContext(create),
  });
}
