import type { AttemptStart } from '../../backend/attempts.js';
import type { Attempt } from './attempt.js';
import type { RenewalReason } from './context.js';

/** Waits for a permit of the semaphore before it requests the lease. */
export interface Queued {
  readonly type: 'queued';
}

/** The request for the lease has no reply yet. */
export interface Asking<T> {
  readonly type: 'asking';
  readonly reason: RenewalReason<T>;
  /** The generation of the credential at the request. */
  readonly generation: number;
  /** The instant of the request by the monotonic clock. */
  readonly requestedAt: number;
  readonly done: Promise<void>;
}

/** The answer that grants the lease. */
export type Started = Extract<AttemptStart, { type: 'started' }>;

/** This instance holds the lease. */
export interface Running<T> {
  readonly type: 'running';
  readonly attempt: Attempt<T>;
  readonly done: Promise<void>;
}

/** The step under way. Each step is an object of its own: an answer to another step than the present one came too late. */
export type Work<T> =
  { readonly type: 'idle' } | Queued | Asking<T> | Running<T> | { readonly type: 'closed' };
