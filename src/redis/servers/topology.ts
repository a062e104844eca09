import type { HintFeed, Observation } from '../../backend/backend.js';
import type { Commanding } from '../commands/command-channel.js';

/** The servers that keys are spread over: one, or the masters of a cluster. */
export interface RedisNodes {
  readonly feed: HintFeed;
  /**
   * Uses the command connection to the server that has the key; again, and elsewhere, where the server says that it does not have it.
   *
   * @throws UnavailableError, RefusedError, or what `use` throws
   */
  commanding<R>(key: string, use: (commanding: Commanding) => Promise<R>): Promise<R>;
  /** Looks at a key that need not be watched. @throws UnavailableError, RefusedError */
  observe(key: string, maxBytes: number): Promise<Observation>;
  /** The keys with a prefix that all servers have, as of the seam. */
  keys(prefix: string): AsyncIterable<readonly string[]>;
  /** Whether this process may announce its writes, as the last one showed. */
  learned(announcing: boolean): void;
  /** The settings have changed. */
  retime(): void;
  /** Lets go of everything, within `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}
