import { bindFunctions } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import { checkNamespace, DEFAULT_NAMESPACE } from '../util/option-checks.js';
import {
  clock,
  flag,
  ms,
  option,
  random,
  resolvePart,
  type OptionsTable,
  type Resolved,
} from '../util/options.js';

/**
 * Options about the connections to Redis. Stores on one client and in one namespace share connections; where their options differ, the shortest
 * duration applies.
 *
 * @public
 */
export interface RedisConnectionOptions {
  /**
   * Pause between two checks that the link is alive and leads to a master, in milliseconds from 10. Default 5,000. Each check takes two
   * commands on one server, three with RESP2; in a cluster a few on each master that is watched. A dead link is noticed within
   * `heartbeatMs + replyTimeoutMs`.
   */
  readonly heartbeatMs?: number | undefined;
  /**
   * How long Redis may take to accept a connection and to reply to a command, in milliseconds from 10. Default 2,000. Then the connection
   * is destroyed: a shorter timeout notices a hung server earlier, a longer one tolerates a slower server.
   */
  readonly replyTimeoutMs?: number | undefined;
  /** Pause between two readings of every credential where Redis sends no keyspace notifications, in milliseconds from 10. Default 5,000. */
  readonly pollMs?: number | undefined;
  /**
   * The time within which every watched credential is read once although no message came, in milliseconds from 10. Default 300,000. It bounds
   * the delay of a change of which the messages were lost; with few credentials the heartbeat is sooner. A directory is scanned once in this
   * time for credentials that it was never told of.
   */
  readonly sweepMs?: number | undefined;
  /** Pause between two tests whether keyspace notifications arrive, in milliseconds from 10. Default 60,000. */
  readonly probeMs?: number | undefined;
  /**
   * Whether the store may add the flags that it needs to `notify-keyspace-events` with CONFIG SET. Flags are never removed. Default
   * `false`.
   */
  readonly configureNotifications?: boolean | undefined;
  /**
   * The beginning of the names of all that the store keeps in Redis beside the credential itself: its helper keys, and the channels of its
   * announcements. 1 to 64 letters, digits, dots, hyphens and underscores; default `credstream`. Rights that end at a namespace keep
   * applications apart on one Redis. All processes that share a credential must use the same namespace: those of two see each other's writes as
   * those of a foreign program, and each namespace re-authenticates by itself.
   */
  readonly namespace?: string | undefined;
  /** Time; default the machine's. All stores on one client must use the same. */
  readonly clock?: Clock | undefined;
  /** Gives numbers from 0 to below 1, for jitter; default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

export type RedisSettings = Resolved<RedisConnectionOptions>;

/** The options about connections, beside those of a store or a directory. */
export const CONNECTION_OPTIONS: OptionsTable<RedisConnectionOptions> = {
  heartbeatMs: ms({
    default: 5_000,
    min: 10,
    cost: 'Two commands per interval on one server, three with RESP2; [in a cluster](../guides/redis-topologies.md#costs) a few per master. A shorter interval notices a dead link sooner: within `heartbeatMs` + `replyTimeoutMs`.',
  }),
  replyTimeoutMs: ms({
    default: 2_000,
    min: 10,
    cost: 'Bounds the time that Redis takes to accept a connection and to reply. A shorter time gives up a slow server, a longer time notices a hung server later.',
  }),
  pollMs: ms({
    default: 5_000,
    min: 10,
    cost: 'One read per key and interval, only where keyspace notifications do not arrive. A shorter interval notices the writes of other clients sooner.',
  }),
  sweepMs: ms({
    default: 300_000,
    min: 10,
    cost: 'Each credential is read once per interval: 100,000 of them are 333 reads a second with the default, batched in a directory, which also scans its database once per interval. A shorter interval notices a change whose messages were lost sooner.',
  }),
  probeMs: ms({
    default: 60_000,
    min: 10,
    cost: 'One small write per interval. A shorter interval notices sooner that notifications were switched off or on, or that a channel was granted.',
  }),
  configureNotifications: flag(
    '`true` lets the store add flags to `notify-keyspace-events`, for the whole server. Needs the right to `CONFIG`.',
  ),
  namespace: option({
    default: DEFAULT_NAMESPACE,
    shown: '`credstream`',
    check: checkNamespace,
    range: '1 to 64 letters, digits, dots, hyphens, underscores',
    cost: 'Another namespace has other helper keys and channels, so that [rights](security.md#one-namespace-per-application) keep applications apart, and two connections more. Processes that share a credential must use the same.',
  }),
  clock: clock('All stores on one client must use the same.'),
  random: random(),
};

/**
 * Names are checked together with those of the store.
 *
 * @throws InvalidOptionError
 */
export function resolveSettings(options: RedisConnectionOptions): RedisSettings {
  return bindFunctions(resolvePart(CONNECTION_OPTIONS, options));
}

/** The settings of connections that stores with these settings, of one namespace, share. */
export function mergeSettings(all: readonly [RedisSettings, ...RedisSettings[]]): RedisSettings {
  const shortest = (
    name: 'heartbeatMs' | 'replyTimeoutMs' | 'pollMs' | 'probeMs' | 'sweepMs',
  ): number => Math.min(...all.map((one) => one[name]));
  return {
    heartbeatMs: shortest('heartbeatMs'),
    replyTimeoutMs: shortest('replyTimeoutMs'),
    pollMs: shortest('pollMs'),
    sweepMs: shortest('sweepMs'),
    probeMs: shortest('probeMs'),
    configureNotifications: all.some((one) => one.configureNotifications),
    namespace: all[0].namespace,
    clock: all[0].clock,
    random: all[0].random,
  };
}
