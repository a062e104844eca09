import type { EncodingOptions } from '../credential/encoding.js';
import type { CallbackErrorHandler } from '../util/callbacks.js';

/** What stores of different keys may share. */
export interface SharedStoreOptions<T> extends EncodingOptions<T> {
  readonly ttlSeconds: number | ((credentials: T) => number | undefined) | undefined;
  readonly allowEarlyRemoval: boolean;
  readonly abortOnSaved: boolean;
  readonly maxStalenessMs: number;
  readonly readyTimeoutMs: number;
  readonly closeTimeoutMs: number;
  /** As it was given; `onCallbackError` calls it, and can throw nothing. */
  readonly handler: CallbackErrorHandler | undefined;
  readonly onCallbackError: CallbackErrorHandler;
}
