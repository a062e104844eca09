import type { HintFeed, Observation } from '../../backend/backend.js';
import type { CommandSession } from '../commands/channel.js';

/** The servers that keys are spread over: one, or the masters of a cluster. */
export interface Servers {
  readonly feed: HintFeed;
  /**
   * Uses the command connection to the server that has the key; again, and elsewhere, where the server says that it does not have it.
   *
   * @throws UnavailableError, RefusedError, or what `use` throws
   */
  withSession<R>(key: string, use: (withSession: CommandSession) => Promise<R>): Promise<R>;
  /** Looks at a key that need not be watched. @throws UnavailableError, RefusedError */
  read(key: string, maxBytes: number): Promise<Observation>;
  /** The keys with a prefix that all servers have, as of the seam. */
  keys(prefix: string): AsyncIterable<readonly string[]>;
  /** Whether this process may announce its writes, as the last one showed. */
  setCanAnnounce(announcing: boolean): void;
  /** The settings have changed. */
  applySettings(): void;
  /** Lets go of everything, within `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}
