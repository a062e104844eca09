import type { CredentialEvents } from '../../credential/contract.js';

/**
 * Listeners by event, for `on`, `once` and `off` of a directory.
 *
 * @public
 */
export type DirectoryEvents<T> = Omit<CredentialEvents<T>, 'state'>;

/**
 * Options of `clearAll()`.
 *
 * @public
 */
export interface ClearAllOptions {
  /** Told to other processes in each `cleared` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /** How many are removed at the same time, from 1 to 1,000; default 64. */
  readonly concurrency?: number | undefined;
  /** Told after each credential, removed or not. What it throws or rejects goes to `onCallbackError`. */
  readonly onProgress?: ((progress: ClearAllProgress) => unknown) | undefined;
  /** Stops; `clearAll()` then rejects with the signal's reason. Those under way may still be removed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * How far `clearAll()` has come.
 *
 * @public
 */
export interface ClearAllProgress {
  /** The credential that was dealt with last. */
  readonly id: string;
  /** How many were removed so far. */
  readonly cleared: number;
  /** How many could not be removed so far. */
  readonly failed: number;
}

/**
 * What became of a `clearAll()`.
 *
 * @public
 */
export interface ClearAllReceipt {
  /** How many were removed. */
  readonly cleared: number;
  /** Those that could not be removed, and why: up to 1,000 of them. */
  readonly failures: readonly ClearAllFailure[];
  /** How many could not be removed. */
  readonly failed: number;
}

/**
 * A credential that `clearAll()` could not remove.
 *
 * @public
 */
export interface ClearAllFailure {
  /** What names it. */
  readonly id: string;
  /** Why. */
  readonly error: unknown;
}
