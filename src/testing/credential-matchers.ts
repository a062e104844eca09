import { inspect } from 'node:util';
import type { CredentialChangeType } from '../credential/change.js';
import type { ChangeSource } from '../credential/origin.js';

/**
 * The expected fields of a change; a left-out field may have any value, and `undefined` means that the field must be absent.
 *
 * @public
 */
export interface ExpectedChange {
  /** The new credentials, of a `saved` or `renewed` change. */
  readonly credentials?: unknown;
  /** The credentials of the previous snapshot; `undefined`: there was none. */
  readonly previous?: unknown;
  /** The author of the change; `{ instance, name }` may hold an asymmetric matcher such as `expect.any(String)`. */
  readonly origin?: unknown;
  /** How the change was noticed. */
  readonly source?: ChangeSource | undefined;
  /** The `reason` of a `saved` or `cleared` change, or of the error of an `unreadable` change. */
  readonly reason?: unknown;
  /** The end of a `saved`, `renewed` or `expired` change, in epoch milliseconds. */
  readonly expiresAt?: unknown;
}

/**
 * The assertions that {@link credentialMatchers} add to `expect(…)`; merge them into the types of the runner, as shown there.
 *
 * @public
 */
export interface CredentialMatchers<R = unknown> {
  /** The value is a change of this type, with these fields. */
  toBeChange(type: CredentialChangeType, expected?: ExpectedChange): R;
  /** The value is a snapshot, or a change with one, that holds these credentials. */
  toHoldCredentials(credentials: unknown): R;
}

/**
 * The part of a runner's matcher context that the matchers use; both vitest and jest provide it.
 *
 * @public
 */
export interface CredentialMatcherContext {
  /** Deep equality as the runner knows it, asymmetric matchers included. */
  readonly equals: (a: unknown, b: unknown) => boolean;
}

/**
 * The result that a matcher returns to its runner.
 *
 * @public
 */
export interface CredentialMatcherResult {
  /** Whether the value is as expected. */
  readonly pass: boolean;
  /** The reason, without any credentials. */
  readonly message: () => string;
}

/**
 * Matchers for `expect.extend` of vitest or jest. They compare the credentials of changes and snapshots, which inspection does not show,
 * and never print any credentials, neither actual nor expected ones.
 *
 * @example
 * ```ts
 * import { expect } from 'vitest';
 * import { credentialMatchers, type CredentialMatchers } from 'credstream/testing';
 *
 * declare module 'vitest' {
 *   interface Matchers<T> extends CredentialMatchers<T> {}
 * }
 *
 * expect.extend(credentialMatchers);
 *
 * // expect(change).toBeChange('saved', { credentials: { token: 'two' }, previous: { token: 'one' }, origin: 'self' });
 * // expect(store.current).toHoldCredentials({ token: 'two' });
 * ```
 * @public
 */
export const credentialMatchers: {
  /** See {@link CredentialMatchers}. */
  toBeChange(
    this: CredentialMatcherContext,
    received: unknown,
    type: CredentialChangeType,
    expected?: ExpectedChange,
  ): CredentialMatcherResult;
  /** See {@link CredentialMatchers}. */
  toHoldCredentials(
    this: CredentialMatcherContext,
    received: unknown,
    credentials: unknown,
  ): CredentialMatcherResult;
} = {
  toBeChange(received, type, expected = {}) {
    if (!isRecord(received) || typeof received['type'] !== 'string' || !('previous' in received)) {
      return failed(`expected a change '${type}', but the value is no change of a credential`);
    }
    if (received['type'] !== type) {
      return failed(`expected a change '${type}', but it is '${received['type']}'`);
    }
    const found = fieldsOf(received);
    const names = Object.keys(expected) as (keyof ExpectedChange)[];
    const wrong = names.filter((name) => !this.equals(found[name], expected[name]));
    if (wrong.length > 0) {
      const differences = wrong
        .map((name) => difference(name, found[name], expected[name]))
        .join('; ');
      return failed(`expected a change '${type}' with other fields: ${differences}`);
    }
    return passed(`expected anything but this change '${type}'`);
  },

  toHoldCredentials(received, credentials) {
    if (!isRecord(received) || !('credentials' in received)) {
      return failed('expected a snapshot with credentials, but the value is no snapshot');
    }
    return this.equals(received['credentials'], credentials)
      ? passed('expected a snapshot with other credentials (hidden)')
      : failed('expected a snapshot with these credentials, but it holds others (both hidden)');
  },
};

function fieldsOf(change: Readonly<Record<string, unknown>>): ExpectedChange {
  const { previous, error } = change;
  return {
    credentials: change['credentials'],
    previous: isRecord(previous) ? previous['credentials'] : undefined,
    origin: change['origin'],
    source: change['source'] as ChangeSource,
    reason: isRecord(error) ? error['reason'] : change['reason'],
    expiresAt: change['expiresAt'],
  };
}

function difference(name: keyof ExpectedChange, found: unknown, expected: unknown): string {
  if (name !== 'credentials' && name !== 'previous') {
    return `${name} is ${inspect(found)}, not ${inspect(expected)}`;
  }
  // The existence of credentials is no secret, and often the whole difference.
  if (found === undefined) return `${name}: there are none`;
  return expected === undefined ? `${name}: there are some` : `${name}: they differ (both hidden)`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function failed(message: string): CredentialMatcherResult {
  return { pass: false, message: () => message };
}

function passed(message: string): CredentialMatcherResult {
  return { pass: true, message: () => message };
}
