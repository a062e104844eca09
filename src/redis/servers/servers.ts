import type { Backend, Observation } from '../../backend/backend.js';
import type { CommandSession } from '../commands/channel.js';

/** The servers that share the keys: one, or the masters of a cluster. */
export interface Servers {
  readonly feed: Pick<Backend, 'subscribe'>;
  /**
   * Uses the command connection to the server of the key; again on another server, where the first one does not have the key.
   *
   * @throws UnavailableError, RefusedError, or the error of `use`
   */
  withSession<R>(key: string, use: (session: CommandSession) => Promise<R>): Promise<R>;
  /** Reads a key that need not be watched. @throws UnavailableError, RefusedError */
  read(key: string, maxBytes: number): Promise<Observation>;
  /** The keys of all servers with a prefix, as of the seam. */
  keys(prefix: string): AsyncIterable<readonly string[]>;
  /** Sets whether this process may announce its writes, as the last write showed. */
  setCanAnnounce(canAnnounce: boolean): void;
  /** Applies changed settings. */
  applySettings(): void;
  /** Closes everything, within `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}
