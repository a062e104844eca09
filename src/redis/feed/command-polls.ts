import type { Observation } from '../../backend/backend.js';
import { UnavailableError } from '../../errors.js';
import type { Clock } from '../../time/clock.js';
import type { ServerTime } from '../../time/server-time.js';
import { Semaphore } from '../../util/semaphore.js';
import type { CommandChannel } from '../commands/channel.js';
import { toObservation } from '../commands/reader.js';
import type { RedisSettings } from '../connection-options.js';
import { SessionTimers } from '../connection/session-timers.js';
import { readFailure, RedirectedError } from '../reply-errors.js';
import type { WatchedKeys } from './watched-keys.js';

/** The longest pause between two readings of an opened key. */
const OPEN_POLL_MS = 500;
const MAX_READS = 64;

export interface CommandPollsContext {
  readonly connectionSettings: { readonly clock: Clock };
  readonly commands: CommandChannel;
  readonly time: ServerTime;
  readonly settings: () => RedisSettings;
}

/**
 * Reads over the connection for commands while the subscribed connection cannot stay up: opened keys often, all others as often as without
 * notifications. A client that floods the channels with messages can end the one connection and not the other.
 */
export class CommandPolls {
  readonly #context: CommandPollsContext;
  readonly #keys: WatchedKeys;
  readonly #failed: (error: unknown) => void;
  readonly #timers: SessionTimers<'open' | 'all'>;
  readonly #permits = new Semaphore(MAX_READS);
  #confirmedAt: number;

  /**
   * @param confirmedAt - the last proof of the connection before
   * @param failed - called when a reading got no reply, before its caller gets the error
   */
  constructor(
    context: CommandPollsContext,
    keys: WatchedKeys,
    confirmedAt: number,
    failed: (error: unknown) => void,
  ) {
    this.#context = context;
    this.#keys = keys;
    this.#confirmedAt = confirmedAt;
    this.#failed = failed;
    this.#timers = new SessionTimers(context.connectionSettings.clock);
  }

  /** The sending time of the last reading with a reply. Monotonic. */
  get confirmedAt(): number {
    return this.#confirmedAt;
  }

  /** Starts the timers, or sets them anew after the settings changed. */
  applySettings(): void {
    this.#timers.every(
      'open',
      () => openPollMs(this.#context.settings()),
      () => {
        this.#keys.pollOpen();
      },
    );
    this.#timers.every(
      'all',
      () => this.#context.settings().pollMs,
      () => {
        this.#keys.pollAll(() => true);
      },
    );
  }

  stop(): void {
    this.#timers.stop();
  }

  /** @throws UnavailableError, after the failure was reported, or RefusedError */
  async read(key: string, maxBytes: number): Promise<Observation> {
    const { commands, settings, time } = this.#context;
    await this.#permits.acquire();
    try {
      const { reader } = await commands.get();
      const [reading] = await Promise.all([
        reader.read({ key, maxBytes, epochKey: undefined }),
        commands.verifyAfter(settings().heartbeatMs),
      ]);
      this.#confirmedAt = Math.max(this.#confirmedAt, reading.sentAt);
      return toObservation(reading, time);
    } catch (error) {
      const failure = readFailure(error);
      if (failure instanceof UnavailableError && !(failure instanceof RedirectedError))
        this.#failed(error);
      throw failure;
    } finally {
      this.#permits.release();
    }
  }
}

/** The pause between two readings of an opened key while the subscribed connection cannot stay up. */
export function openPollMs({ pollMs }: RedisSettings): number {
  return Math.min(pollMs, OPEN_POLL_MS);
}
