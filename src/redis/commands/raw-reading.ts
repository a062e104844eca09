import type { Clock } from '../../time/clock.js';
import type { Content } from '../../credential/content.js';
import type { CommandConnection } from '../connection/connection.js';

/** The result of one reading, before it is tied to a clock. */
export interface RawReading {
  readonly content: Content;
  readonly expiresAt: number | undefined;
  readonly toleranceMs: number;
  readonly serverNow: number;
  /** The server read the key between these two monotonic instants. */
  readonly sentAt: number;
  readonly receivedAt: number;
  /** The content of the epoch key, `null` for an absent one; `undefined` when the request had none. */
  readonly epoch: string | null | undefined;
}

export interface ReadRequest {
  readonly key: string;
  readonly maxBytes: number;
  readonly epochKey: string | undefined;
}

export type Clocks = Pick<Clock, 'now' | 'monotonic'>;

/** One way to read a key. */
export type ReadStrategy = (
  connection: CommandConnection,
  request: ReadRequest,
  clocks: Clocks,
) => Promise<RawReading>;

export const ABSENT: Content = { type: 'absent' };
export const WRONG_TYPE: Content = { type: 'foreign', reason: 'wrong-type' };
export const TOO_LARGE: Content = { type: 'foreign', reason: 'too-large' };
