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
  /** Carried to other processes in each `cleared` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /** The number of removals at the same time, from 1 to 1,000; default 64. */
  readonly concurrency?: number | undefined;
  /** Called after each credential, removed or not. An error that the function throws or rejects with goes to `onCallbackError`. */
  readonly onProgress?: ((progress: ClearAllProgress) => unknown) | undefined;
  /** Stops `clearAll()`, which then rejects with the signal's reason. Removals under way may still happen. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The progress of a `clearAll()`.
 *
 * @public
 */
export interface ClearAllProgress {
  /** The id of the credential that was tried last. */
  readonly id: string;
  /** The number of removed credentials so far. */
  readonly cleared: number;
  /** The number of failed removals so far. */
  readonly failed: number;
}

/**
 * The result of a `clearAll()`.
 *
 * @public
 */
export interface ClearAllReceipt {
  /** The number of removed credentials. */
  readonly cleared: number;
  /** The failed removals with their errors, at most 1,000 of them. */
  readonly failures: readonly ClearAllFailure[];
  /** The number of failed removals. */
  readonly failed: number;
}

/**
 * A credential that `clearAll()` could not remove.
 *
 * @public
 */
export interface ClearAllFailure {
  /** The id of the credential. */
  readonly id: string;
  /** The error of the removal. */
  readonly error: unknown;
}
