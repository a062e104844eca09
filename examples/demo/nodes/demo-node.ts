import type { NotificationMode } from 'credstream';

import type { NodeChange } from './node-change.js';

/** One that uses the credential and watches it. */
export interface DemoNode {
  readonly name: string;
  /** For people: in which process. */
  readonly where: string;
  /** Where it hears of changes from. */
  readonly notifications: NotificationMode;
  /** All changes that it was told of. */
  readonly told: readonly NodeChange[];
  /** The next change, told or to come. */
  next(timeoutMs: number): Promise<NodeChange>;
  /** Asks the API with the token it holds in memory: the HTTP status, or `undefined` when it holds none. */
  useToken(url: string): Promise<number | undefined>;
  /** Ends it as an application ends; rejects when that goes wrong. Idempotent. */
  stop(): Promise<void>;
}
