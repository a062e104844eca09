import { randomUUID } from 'node:crypto';

import type { Redis } from 'ioredis';

import { connect, disconnect, type RedisTarget } from './redis-clients.js';
import { eventually, nextEvent } from './wait.js';

/**
 * How often which command (lower case, `config|get` for subcommands) ran at the server while `work` did, whoever sent it:
 * on a server of one's own, that is what the code under test sent, replays of the client included. Commands inside scripts
 * count too. A command that was refused before it ran does not.
 */
export async function countCommands(
  client: Redis,
  work: () => unknown,
): Promise<Map<string, number>> {
  const before = await commandCalls(client);
  await work();
  const after = await commandCalls(client);
  // The INFO that gave `before` is in `after`.
  before.set('info', (before.get('info') ?? 0) + 1);
  const counted = new Map<string, number>();
  for (const [name, calls] of after) {
    const during = calls - (before.get(name) ?? 0);
    if (during > 0) counted.set(name, during);
  }
  return counted;
}

/** How often which command has run at the server so far, named as by {@link countCommands}. */
export async function commandCalls(client: Redis): Promise<Map<string, number>> {
  const info = await client.info('commandstats');
  const lines = info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  return new Map(Array.from(lines, ([, name = '', calls]) => [name.toLowerCase(), Number(calls)]));
}

/** One command as MONITOR shows it. */
export interface MonitoredCommand {
  /** Server time in seconds. */
  readonly at: number;
  /** The client's address, or `lua`. */
  readonly source: string;
  readonly database: number;
  /** Name and arguments; bytes that are not printable are escaped, passwords are hidden by Redis. */
  readonly args: readonly string[];
  /** All of it in one string, to search for what must not be there. */
  readonly text: string;
}

/** A recording of what a server runs. */
export interface MonitorRecording {
  readonly lines: readonly MonitoredCommand[];
  /** Resolves when all that ran before the call is in `lines`. */
  flush(): Promise<void>;
  /** Flushes, closes its connections and gives all lines. */
  stop(): Promise<readonly MonitoredCommand[]>;
}

/** Records every command at the server, over connections of its own; resolves when the recording runs. */
export async function recordMonitor(target: RedisTarget): Promise<MonitorRecording> {
  const lines: MonitoredCommand[] = [];
  // A recording with a gap would prove nothing, so neither connection is made again; flush() then fails.
  const once = { connectionName: 'monitor-recorder', retryStrategy: () => null };
  const sender = connect(target, once);
  // Not by sender.monitor(): what the server runs in that very moment, ioredis takes for replies that nobody has asked for, and its
  // own client has no listener yet for the errors that it makes of them.
  const monitor = connect(target, { ...once, monitor: true, lazyConnect: true });
  try {
    const monitoring = nextEvent(monitor, 'monitoring');
    await Promise.all([monitor.connect(), monitoring]);
  } catch (error) {
    await Promise.all([disconnect(monitor), disconnect(sender)]);
    throw error;
  }
  const marks = new Set<string>();
  monitor.on('monitor', (time: string, args: string[], source: string, database: string) => {
    if (args[0] === 'echo' && marks.delete(args[1] ?? '')) return;
    const text = args.join(' ');
    lines.push({ at: Number(time), source, database: Number(database), args, text });
  });
  const flush = async (): Promise<void> => {
    const mark = randomUUID();
    marks.add(mark);
    await sender.echo(mark);
    await eventually(() => !marks.has(mark));
  };
  return {
    lines,
    flush,
    stop: async () => {
      try {
        await flush();
      } finally {
        await Promise.all([disconnect(monitor), disconnect(sender)]);
      }
      return lines;
    },
  };
}
