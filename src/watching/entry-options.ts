import type { EncodingOptions } from '../credential/encoding.js';
import type { CallbackErrorHandler } from '../util/callbacks.js';

/** The options that stores of different keys may share. */
export interface SharedStoreOptions<T> extends EncodingOptions<T> {
  readonly ttlSeconds: number | ((credentials: T) => number | undefined) | undefined;
  readonly allowEarlyRemoval: boolean;
  readonly abortOnSaved: boolean;
  readonly maxStalenessMs: number;
  readonly readyTimeoutMs: number;
  readonly closeTimeoutMs: number;
  /** The handler of the caller; `onCallbackError` calls it, and never throws. */
  readonly handler: CallbackErrorHandler | undefined;
  readonly onCallbackError: CallbackErrorHandler;
}
