import { systemClock, type Clock } from '../time/clock.js';
import { checkBoolean, checkClock, checkFunction, checkMs } from '../util/option-checks.js';

/**
 * Options about the connections to Redis. Stores on one client share connections; where their options differ the shortest duration holds.
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
  /** Pause between two tests whether keyspace notifications arrive, in milliseconds from 10. Default 60,000. */
  readonly probeMs?: number | undefined;
  /**
   * Whether the store may add the flags that it needs to `notify-keyspace-events` with CONFIG SET. Flags are never removed. Default
   * `false`.
   */
  readonly configureNotifications?: boolean | undefined;
  /** Time; default the machine's. All stores on one client must use the same. */
  readonly clock?: Clock | undefined;
  /** Gives numbers from 0 to below 1, for jitter; default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

export interface RedisSettings {
  readonly heartbeatMs: number;
  readonly replyTimeoutMs: number;
  readonly pollMs: number;
  readonly probeMs: number;
  readonly configureNotifications: boolean;
  readonly clock: Clock;
  readonly random: () => number;
}

export const CONNECTION_OPTION_NAMES: readonly string[] = [
  'heartbeatMs',
  'replyTimeoutMs',
  'pollMs',
  'probeMs',
  'configureNotifications',
  'clock',
  'random',
];

/** @throws InvalidOptionError */
export function resolveSettings(options: RedisConnectionOptions): RedisSettings {
  checkBoolean(options.configureNotifications, 'configureNotifications');
  checkFunction(options.random, 'random');
  // Defaults replace only left-out options; `null` is a mistake like any other.
  const {
    heartbeatMs = 5_000,
    replyTimeoutMs = 2_000,
    pollMs = 5_000,
    probeMs = 60_000,
    clock = systemClock,
  } = options;
  return {
    heartbeatMs: checkMs(heartbeatMs, 'heartbeatMs', 10),
    replyTimeoutMs: checkMs(replyTimeoutMs, 'replyTimeoutMs', 10),
    pollMs: checkMs(pollMs, 'pollMs', 10),
    probeMs: checkMs(probeMs, 'probeMs', 10),
    configureNotifications: options.configureNotifications ?? false,
    clock: checkClock(clock),
    random: options.random ?? Math.random,
  };
}

/** The settings of connections that stores with these settings share. */
export function mergeSettings(all: readonly [RedisSettings, ...RedisSettings[]]): RedisSettings {
  const shortest = (name: 'heartbeatMs' | 'replyTimeoutMs' | 'pollMs' | 'probeMs'): number =>
    Math.min(...all.map((one) => one[name]));
  return {
    heartbeatMs: shortest('heartbeatMs'),
    replyTimeoutMs: shortest('replyTimeoutMs'),
    pollMs: shortest('pollMs'),
    probeMs: shortest('probeMs'),
    configureNotifications: all.some((one) => one.configureNotifications),
    clock: all[0].clock,
    random: all[0].random,
  };
}
