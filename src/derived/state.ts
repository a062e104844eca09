/**
 * No value, and none is being built.
 *
 * @public
 */
export interface IdleDerivedState {
  /** Tells the states apart. */
  readonly type: 'idle';
  /**
   * The event that starts the building. `use`: the first `get`, `use` or subscription to `value$` · `credential`: a valid credential that the store
   * vouches for; there is none, or it is withheld, or nothing has been observed yet.
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
  /** Whether the value of the credential before is served meanwhile. */
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
  /** When it was built, in epoch milliseconds of this machine's clock. */
  readonly since: number;
}

/**
 * `create` failed, and will be called again. What it threw is not shown here, because it may quote the credential: `onCallbackError` gets it.
 *
 * @public
 */
export interface FailedDerivedState {
  /** Tells the states apart. */
  readonly type: 'failed';
  /** `threw`: it threw or rejected · `timeout`: it did not settle within `createTimeoutMs`. */
  readonly reason: 'threw' | 'timeout';
  /** How often in a row for this credential, from 1. */
  readonly failures: number;
  /** When it is called again, in epoch milliseconds of this machine's clock; later while the credential is withheld. */
  readonly nextAt: number;
  /** Whether the value of the credential before is served meanwhile. */
  readonly servesPrevious: boolean;
}

/**
 * It was closed, or its store was.
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

/** Whether two states say the same, so that the second one need not be emitted. */
export function sameDerivedState(a: DerivedState, b: DerivedState): boolean {
  const [these, those] = [Object.entries(a), new Map(Object.entries(b))];
  return these.length === those.size && these.every(([name, value]) => those.get(name) === value);
}
