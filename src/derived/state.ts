/**
 * No value is there, and no `create` is running.
 *
 * @public
 */
export interface IdleDerivedState {
  /** Tells the states apart. */
  readonly type: 'idle';
  /**
   * The event that starts the build. `use`: the first `get`, `use` or subscription to `value$` · `credential`: a valid credential that the
   * store vouches for; now the credential is absent, withheld or not observed yet.
   */
  readonly waitingFor: 'use' | 'credential';
}

/**
 * `create` is running.
 *
 * @public
 */
export interface BuildingDerivedState {
  /** Tells the states apart. */
  readonly type: 'building';
  /** The number of this call of `create` for this credential, from 1. */
  readonly attempt: number;
  /** Whether the value of the previous credential is served meanwhile. */
  readonly servesPrevious: boolean;
}

/**
 * The value is there and may be used.
 *
 * @public
 */
export interface ReadyDerivedState {
  /** Tells the states apart. */
  readonly type: 'ready';
  /** The instant at which the value was built, in epoch milliseconds of this machine's clock. */
  readonly since: number;
}

/**
 * `create` failed, and will be called again. `onCallbackError` gets the error, which is not shown here because it may quote the credential.
 *
 * @public
 */
export interface FailedDerivedState {
  /** Tells the states apart. */
  readonly type: 'failed';
  /** `threw`: `create` threw or rejected · `timeout`: `create` did not settle within `createTimeoutMs`. */
  readonly reason: 'threw' | 'timeout';
  /** The number of failures in a row for this credential, from 1. */
  readonly failures: number;
  /** The instant of the next call, in epoch milliseconds of this machine's clock; later while the credential is withheld. */
  readonly nextAt: number;
  /** Whether the value of the previous credential is served meanwhile. */
  readonly servesPrevious: boolean;
}

/**
 * The derived value or its store was closed.
 *
 * @public
 */
export interface ClosedDerivedState {
  /** Tells the states apart. */
  readonly type: 'closed';
}

/**
 * The progress of the value built from a credential; `type` tells the states apart.
 *
 * @public
 */
export type DerivedState =
  | IdleDerivedState
  | BuildingDerivedState
  | ReadyDerivedState
  | FailedDerivedState
  | ClosedDerivedState;

/** Whether two states are equal, so that the second need not be emitted. */
export function sameDerivedState(a: DerivedState, b: DerivedState): boolean {
  const [fields, others] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    fields.length === others.size && fields.every(([name, value]) => others.get(name) === value)
  );
}
