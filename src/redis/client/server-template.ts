import type { Redis } from 'ioredis';

/** What connections to one server are made from. */
export interface ServerTemplate {
  readonly db: number;
  /**
   * Whether a server that calls itself a replica is refused. In a cluster it is not: there a replica says with every key who its master is.
   */
  readonly mustBeMaster?: boolean;
  /** Makes a client with the options that the caller's has at this moment, but for these; does not connect. */
  create(overrides: Readonly<Record<string, unknown>>): Redis;
}
