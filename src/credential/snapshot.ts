import { inspect, type InspectOptions } from 'node:util';
import { Withdrawal } from './withdrawal.js';

/**
 * A credential as this process knows it.
 *
 * `credentials` can be read by name, but is left out of `console.log`, `util.inspect`, `JSON.stringify`, spreading and `structuredClone`.
 * Plain objects and arrays inside are frozen, because everybody in the process shares them.
 *
 * @public
 */
export interface CredentialSnapshot<T> {
  /** The id of the credential. */
  readonly id: string;
  /** The credential itself. */
  readonly credentials: T;
  /**
   * The end of the credential, in epoch milliseconds of the Redis server's clock: the earlier of its logical end and the end of the key's
   * TTL; `undefined` when it has neither.
   */
  readonly expiresAt: number | undefined;
  /**
   * Aborts when the credential is withdrawn: cleared, evicted, expired, unreadable or rejected; the reason is a {@link WithdrawnError}.
   * A newer credential in its place aborts it only with the option `abortOnSaved`. Has no listener limit.
   *
   * The signal of a snapshot from `read()` can abort only while the store is also being watched.
   */
  readonly signal: AbortSignal;
}

let digestIn: (snapshot: object) => string | undefined;
let withdrawalIn: (snapshot: object) => Withdrawal | undefined;

export class StoredSnapshot<T> implements CredentialSnapshot<T> {
  static {
    digestIn = (snapshot) => (#digest in snapshot ? snapshot.#digest : undefined);
    withdrawalIn = (snapshot) =>
      #digest in snapshot ? (snapshot.#withdrawal ??= new Withdrawal()) : undefined;
  }

  readonly id: string;
  readonly expiresAt: number | undefined;
  readonly #credentials: T;
  readonly #digest: string;
  /** Created on first use of the signal, or when another snapshot has to share it. */
  #withdrawal: Withdrawal | undefined;

  constructor(
    id: string,
    credentials: T,
    expiresAt: number | undefined,
    digest: string,
    withdrawal: Withdrawal | undefined,
  ) {
    this.id = id;
    this.#credentials = credentials;
    this.expiresAt = expiresAt;
    this.#digest = digest;
    this.#withdrawal = withdrawal;
  }

  get credentials(): T {
    return this.#credentials;
  }

  get signal(): AbortSignal {
    return (this.#withdrawal ??= new Withdrawal()).signal;
  }

  toJSON(): object {
    return { id: this.id, expiresAt: this.expiresAt, credentials: '[hidden]' };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `CredentialSnapshot ${inspect(this.toJSON(), options)}`;
  }
}

/** SHA-1 (hex) of the stored bytes behind a snapshot; `undefined` when the snapshot was not made by this package. */
export function digestOf(snapshot: unknown): string | undefined {
  return typeof snapshot === 'object' && snapshot !== null ? digestIn(snapshot) : undefined;
}

export function withdrawalOf(snapshot: object): Withdrawal | undefined {
  return withdrawalIn(snapshot);
}

/** Freezes plain objects and arrays all the way down; instances of classes are the codec's business. */
export function freezePlain<V>(value: V): V {
  if (typeof value !== 'object' || value === null) return value;
  // Without recursion, because foreign data may be nested deeper than calls can be.
  const pending: object[] = [value];
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    if (Object.isFrozen(one) || !isPlain(one)) continue;
    Object.freeze(one);
    for (const inner of Object.values(one) as unknown[]) {
      if (typeof inner === 'object' && inner !== null) pending.push(inner);
    }
  }
  return value;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}

/**
 * Whether a value made from one snapshot holds for the other: both have the same credentials, and at most the end has moved. Credentials that
 * were withdrawn and came back have another signal, because everything that followed the first signal has ended with it.
 */
export function isSameCredential(
  a: CredentialSnapshot<unknown>,
  b: CredentialSnapshot<unknown>,
): boolean {
  return Object.is(a.credentials, b.credentials) && a.signal === b.signal;
}
