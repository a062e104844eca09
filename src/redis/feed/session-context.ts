import type { FeedCondition } from '../../backend/backend.js';
import type { ServerTime } from '../../time/server-time.js';
import type { DataEpochContext } from './missed/data-epoch.js';
import type { HelperNames } from '../commands/helper-names.js';
import type { ServerTemplate } from '../client/server-template.js';
import type { ConnectionSettings } from '../connection/connection.js';
import type { RedisSettings } from '../connection-options.js';
import type { WatchedKey, WatchedKeys } from './watched-keys.js';

/** The surroundings of a feed session, and its callbacks. */
export interface FeedSessionContext extends DataEpochContext {
  readonly template: ServerTemplate;
  readonly connectionSettings: ConnectionSettings;
  readonly keys: WatchedKeys;
  readonly time: ServerTime;
  readonly instance: string;
  readonly names: HelperNames;
  /** Names a key of our own on this server; `undefined` where no name is known. */
  readonly ownKey: (kind: 'epoch' | 'probe') => string | undefined;
  readonly settings: () => RedisSettings;
  /** The link is lost, or not to be trusted. */
  lost(session: object, error: unknown): void;
  /** Hints may have been missed although the link lives. */
  gap(session: object, gap: FeedCondition['gap']): void;
  /** The subscriptions of all keys have changed, or of `some` only. */
  changed(session: object, some?: readonly WatchedKey[]): void;
}
