import type { Backend, Hint } from '../backend/backend.js';
import type { CredentialSnapshot, Withdrawal } from '../credential/snapshot.js';
import type { CredentialState, Known } from '../credential/state.js';
import type { Deadline } from '../time/deadlines.js';
import type { Encoding } from '../credential/encoding.js';
import type { EventSource } from './event-source.js';
import type { SharedStoreOptions } from './entry-options.js';

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
