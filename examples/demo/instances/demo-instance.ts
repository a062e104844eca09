import type { NotificationMode } from 'credstream';

import type { Asked, LoginNews, LoginSettings } from '../login/login-news.js';
import type { InstanceChange } from './instance-change.js';

/** One that uses the credential and watches it. */
export interface DemoInstance {
  readonly name: string;
  /** For people: in which process. */
  readonly where: string;
  /** Where it hears of changes from. */
  readonly notifications: NotificationMode;
  /** All changes that it was told of. */
  readonly told: readonly InstanceChange[];
  /** The next change, told or to come. */
  next(timeoutMs: number): Promise<InstanceChange>;
  /** Asks the API with the token it holds in memory: the HTTP status, or `undefined` when it holds none. */
  useToken(url: string): Promise<number | undefined>;
  /** Makes it one of those that keep the login valid; resolves when it is. */
  keepLogin(settings: LoginSettings): Promise<void>;
  /** All that it has told of that. */
  readonly loginNews: readonly LoginNews[];
  /** See `LoginKeeper.setGate`. */
  setGate(open: boolean): Promise<void>;
  /** Asks the API with the token of the login. */
  useLogin(url: string): Promise<number>;
  asked(): Promise<Asked>;
  /** Ends it as a crash does; absent where that would take the others along. */
  readonly kill?: () => Promise<void>;
  /** Ends it as an application ends; rejects when that goes wrong. Idempotent. */
  stop(): Promise<void>;
}
