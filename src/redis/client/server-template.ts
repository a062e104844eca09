import type { Redis } from 'ioredis';

/** The source of connections to one server. */
export interface ServerTemplate {
  readonly db: number;
  /** Whether a server that reports itself as a replica is refused. Not in a cluster: there a replica replies with MOVED for every key. */
  readonly mustBeMaster?: boolean;
  /** Looks up the address by the caller's own function, where the caller has one; for the overrides of `create`. */
  readonly locate?: () => Promise<Readonly<Record<string, unknown>>>;
  /** Creates a client with the current options of the caller's client and these overrides; does not connect. */
  create(overrides: Readonly<Record<string, unknown>>): Redis;
}
