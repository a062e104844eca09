import { inspect, type InspectOptions } from 'node:util';
import type { ChangeOrigin, ChangeSource } from './origin.js';
import type { CredentialSnapshot } from './snapshot.js';
import type { WithdrawalChange } from './withdrawal.js';
import type { UnreadableError } from '../errors.js';

/**
 * New bytes were stored.
 *
 * @public
 */
export interface SavedChange<T> {
  /** The discriminant of the union. */
  readonly type: 'saved';
  /** The id of the credential. */
  readonly id: string;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock. */
  readonly at: number;
  /** How the change was noticed. */
  readonly source: ChangeSource;
  /** The author of the change, as far as hints show. */
  readonly origin: ChangeOrigin;
  /** The credential as this process knew it before; `undefined` when there was none. It may have ended. */
  readonly previous: CredentialSnapshot<T> | undefined;
  /** The new credential; hidden from inspection and serialization. */
  readonly credentials: T;
  /** The new credential with its end and its signal. */
  readonly snapshot: CredentialSnapshot<T>;
  /** The end of the new credential, in epoch milliseconds of the Redis server's clock; `undefined` for no end. */
  readonly expiresAt: number | undefined;
  /** The `reason` that the writer gave; `undefined` for none. */
  readonly reason: string | undefined;
}

/**
 * The same bytes got another end, earlier or later.
 *
 * @public
 */
export interface RenewedChange<T> {
  /** The discriminant of the union. */
  readonly type: 'renewed';
  /** The id of the credential. */
  readonly id: string;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock. */
  readonly at: number;
  /** How the change was noticed. */
  readonly source: ChangeSource;
  /** The author of the change, as far as hints show. */
  readonly origin: ChangeOrigin;
  /** The credential as this process knew it before; `undefined` when there was none. It may have ended. */
  readonly previous: CredentialSnapshot<T> | undefined;
  /** The credential; hidden from inspection and serialization. */
  readonly credentials: T;
  /** The credential with its new end. */
  readonly snapshot: CredentialSnapshot<T>;
  /** The new end, in epoch milliseconds of the Redis server's clock; `undefined` for no end. */
  readonly expiresAt: number | undefined;
}

/**
 * The credential reached its end. Emitted once per credential.
 *
 * @public
 */
export interface ExpiredChange<T> {
  /** The discriminant of the union. */
  readonly type: 'expired';
  /** The id of the credential. */
  readonly id: string;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock. */
  readonly at: number;
  /** How the change was noticed. */
  readonly source: ChangeSource;
  /** The author of the change, as far as hints show. */
  readonly origin: ChangeOrigin;
  /** The credential as this process knew it before; `undefined` when there was none. It may have ended. */
  readonly previous: CredentialSnapshot<T> | undefined;
  /** The end that passed, in epoch milliseconds of the Redis server's clock; `undefined` when it was never known. */
  readonly expiresAt: number | undefined;
}

/**
 * The key was removed: by `clear()`, `DEL`, `GETDEL`, `RENAME`, or with the whole database.
 *
 * @public
 */
export interface ClearedChange<T> {
  /** The discriminant of the union. */
  readonly type: 'cleared';
  /** The id of the credential. */
  readonly id: string;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock. */
  readonly at: number;
  /** How the change was noticed. */
  readonly source: ChangeSource;
  /** The author of the change, as far as hints show. */
  readonly origin: ChangeOrigin;
  /** The credential as this process knew it before; `undefined` when there was none. It may have ended. */
  readonly previous: CredentialSnapshot<T> | undefined;
  /** The `reason` given to `clear()`; `undefined` for none. */
  readonly reason: string | undefined;
}

/**
 * Redis removed the key because it ran out of memory.
 *
 * @public
 */
export interface EvictedChange<T> {
  /** The discriminant of the union. */
  readonly type: 'evicted';
  /** The id of the credential. */
  readonly id: string;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock. */
  readonly at: number;
  /** How the change was noticed. */
  readonly source: ChangeSource;
  /** The author of the change, as far as hints show. */
  readonly origin: ChangeOrigin;
  /** The credential as this process knew it before; `undefined` when there was none. It may have ended. */
  readonly previous: CredentialSnapshot<T> | undefined;
}

/**
 * The key now holds something that is not a credential which this store can read.
 *
 * @public
 */
export interface UnreadableChange<T> {
  /** The discriminant of the union. */
  readonly type: 'unreadable';
  /** The id of the credential. */
  readonly id: string;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock. */
  readonly at: number;
  /** How the change was noticed. */
  readonly source: ChangeSource;
  /** The author of the change, as far as hints show. */
  readonly origin: ChangeOrigin;
  /** The credential as this process knew it before; `undefined` when there was none. It may have ended. */
  readonly previous: CredentialSnapshot<T> | undefined;
  /** The reason why the bytes cannot be read. */
  readonly error: UnreadableError;
}

/**
 * One change of a credential; `type` discriminates.
 *
 * @public
 */
export type CredentialChange<T> =
  | SavedChange<T>
  | RenewedChange<T>
  | ExpiredChange<T>
  | ClearedChange<T>
  | EvictedChange<T>
  | UnreadableChange<T>;

/**
 * The `type` of a change.
 *
 * @public
 */
export type CredentialChangeType = CredentialChange<unknown>['type'];

type DistributiveOmit<C, K extends PropertyKey> = C extends unknown ? Omit<C, K> : never;
type ChangeFields<T> = DistributiveOmit<CredentialChange<T>, 'credentials'>;

class RedactedChange<T> {
  declare readonly snapshot?: CredentialSnapshot<T>;

  constructor(fields: ChangeFields<T>) {
    Object.assign(this, fields);
  }

  /** A getter on the prototype is found neither by inspection nor by serialization nor by a spread. */
  get credentials(): T | undefined {
    return this.snapshot?.credentials;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `CredentialChange ${inspect(Object.fromEntries(Object.entries(this)), options)}`;
  }
}

/** Creates a change whose credentials are hidden from inspection and serialization. */
export function createChange<T>(fields: ChangeFields<T>): CredentialChange<T> {
  // The getter supplies the field that the union requires beyond `fields`.
  return new RedactedChange<T>(fields) as unknown as CredentialChange<T>;
}

/** Whether each type of change withdraws the previous credential; a newer credential in its place does so if asked to. */
const WITHDRAWS = {
  saved: 'if asked',
  renewed: 'never',
  expired: 'always',
  cleared: 'always',
  evicted: 'always',
  unreadable: 'always',
} as const satisfies Record<CredentialChangeType, 'always' | 'if asked' | 'never'>;

type Withdrawing = {
  [T in CredentialChangeType]: (typeof WITHDRAWS)[T] extends 'never' ? never : T;
}[CredentialChangeType];

/** Whether a change withdraws the previous credential. */
export function withdraws(change: CredentialChange<unknown>, onSaved: boolean): boolean {
  const when = WITHDRAWS[change.type];
  return when === 'always' || (when === 'if asked' && onSaved);
}

/** The change without the credentials before and after it: a signal may outlive them for long. */
export function withdrawalBy(change: CredentialChange<unknown>): WithdrawalChange {
  const { id, at, source, origin } = change;
  // The type is compared with the table: a new one that withdraws must be a reason of signals too.
  const type: WithdrawalChange['type'] = change.type as Withdrawing;
  return {
    ...{ type, id, at, source, origin },
    reason: 'reason' in change ? change.reason : undefined,
    ...('expiresAt' in change && { expiresAt: change.expiresAt }),
    ...('error' in change && { error: change.error }),
  };
}
