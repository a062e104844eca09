import type { Observable } from 'rxjs';
import type { Backend, Hint } from '../backend/backend.js';
import type { CredentialSnapshot, Withdrawal } from '../credential/snapshot.js';
import type { CredentialState, Known } from '../credential/state.js';
import type { Deadline } from '../time/deadlines.js';
import type { Encoding } from '../credential/encoding.js';
import type { WatchEvent } from './event-source.js';
import type { SharedStoreOptions } from './entry-options.js';
import type { StoreStatus } from '../credential/status.js';

/** Who waits for a credential to become live. */
export interface LiveWaiter {
  /** What it waits for, as whoever waits sees it. */
  readonly of: object;
  /** Once: with `true` as soon as it is live, with `false` when it closes. */
  settle(isLive: boolean): void;
}

/** What tells facts for as long as somebody holds it. */
export interface EventSource<T> {
  readonly closed: boolean;
  readonly status: StoreStatus;
  /** What happens, in order; completes on `close()`. */
  readonly events$: Observable<WatchEvent<T>>;
  /** For those of whom there are very many, to whom a subscription each would be dear; without it the facts tell. */
  awaitLive?(waiter: LiveWaiter): void;
  /** Takes that back. */
  leaveLive?(waiter: LiveWaiter): void;
  /** Starts for the first caller and stops with the last; returns what lets go, which may be called twice. */
  retain(): () => void;
}

/** A credential as those see it who read, stream and build on it; whether they share the watch of it is not their business. */
export interface WatchedEntry<T> extends EventSource<T> {
  readonly id: string;
  /** Where it lies in the backend. */
  readonly key: string;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
  readonly state: CredentialState<T>;
  readonly current: CredentialSnapshot<T> | undefined;
  readonly known: Known<T>;
  /** How many writes of this process are under way. */
  ownWrites: number;
  /** Starts, or goes on, until `close()`. */
  keepAlive(): void;
  close(): void;
  /** Resolves when an observation issued from now on has been applied, or at once when there is no live feed. */
  refreshed(own?: Hint): Promise<void>;
  /** Calls `due` when the server's clock has reached `instant` for certain; nothing before the first observation. */
  at(instant: number, due: () => void): Deadline | undefined;
  /** The server's clock as far as it is known, at its latest; this machine's before the first observation. */
  serverNow(): number;
  /** Whether this very snapshot is what is known and may be shown; it may be just past its end. */
  holds(snapshot: CredentialSnapshot<T>): boolean;
  /** The withdrawal that a snapshot of these bytes shares with the watched one. */
  withdrawalOf(name: string): Withdrawal | undefined;
}
