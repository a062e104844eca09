import type { ServerTime } from '../../time/server-time.js';
import type { DataEpochContext } from './data-epoch.js';
import type { ServerTemplate } from '../client/server-template.js';
import type { ConnectionSettings } from '../connection/connection.js';
import type { RedisSettings } from '../connection-options.js';
import type { AnyWatched, WatchedKeys } from './subscribers.js';

/** What a run of a feed works with, and whom it tells. */
export interface FeedSessionContext extends DataEpochContext {
  readonly template: ServerTemplate;
  readonly connectionSettings: ConnectionSettings;
  readonly keys: WatchedKeys;
  readonly time: ServerTime;
  readonly instance: string;
  /** Names a key of our own on this server; `undefined` where none can be told. */
  readonly ownKey: (kind: 'epoch' | 'probe') => string | undefined;
  readonly settings: () => RedisSettings;
  /** The link is gone, or not to be trusted. */
  lost(run: object, error: unknown): void;
  /** Hints may have been missed although the link lives. */
  gap(run: object, gap: 'data' | 'clock'): void;
  /** What is heard of all keys has changed, or of `some` only. */
  changed(run: object, some?: readonly AnyWatched[]): void;
}
