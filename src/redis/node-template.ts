import type { Redis } from 'ioredis';

/** What connections to one server are made from. */
export interface NodeTemplate {
  readonly db: number;
  /** Makes a client with the options that the caller's has at this moment, but for these; does not connect. */
  create(overrides: Readonly<Record<string, unknown>>): Redis;
}
