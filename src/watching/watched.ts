import type { Withdrawal } from '../credential/withdrawal.js';
import type { Backend, Hint } from '../backend/backend.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState, Known } from '../credential/state.js';
import type { Deadline } from '../time/deadlines.js';
import type { Encoding } from '../credential/encoding.js';
import type { EventSource } from './event-source.js';
import type { SharedStoreOptions } from './entry-options.js';

/** A credential as readers, streams and other rooms see it, whether they share its watch or not. */
export interface WatchedEntry<T> extends EventSource<T> {
  readonly id: string;
  /** The key of the credential in the backend. */
  readonly key: string;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
  readonly state: CredentialState<T>;
  readonly current: CredentialSnapshot<T> | undefined;
  readonly known: Known<T>;
  /** The number of writes of this process under way. */
  ownWrites: number;
  /** Keeps the watch until `close()`. */
  keepAlive(): void;
  close(): void;
  /** Resolves when an observation issued from now on has been applied, or at once when there is no live feed. */
  refreshed(own?: Hint): Promise<void>;
  /** Calls `due` when the server's clock has certainly reached `instant`; sets no deadline before the first observation. */
  at(instant: number, due: () => void): Deadline | undefined;
  /** The latest possible reading of the server's clock; this machine's clock before the first observation. */
  serverNow(): number;
  /** Whether this very snapshot is the known one and not withheld; it may be just past its end. */
  holds(snapshot: CredentialSnapshot<T>): boolean;
  /** The withdrawal that a snapshot of these bytes shares with the watched credential. */
  withdrawalOf(name: string): Withdrawal | undefined;
}
