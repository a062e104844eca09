import type { NotificationMode } from '../../credential/status.js';
import type { NotificationProbe } from './notification-probe.js';
import type { RedisSettings } from '../connection-options.js';
import type { WatchedKey } from './watched-keys.js';

/** The sources of hints on one link, as far as probes and messages have shown. */
export class NotificationModes {
  readonly #probe: NotificationProbe;
  readonly #settings: () => RedisSettings;
  readonly #changed: () => void;
  /** The result of the last probe; `undefined` while probing is not possible. */
  #probed: boolean | undefined;
  #notified = false;
  #probing = false;
  #stopped = false;

  constructor(probe: NotificationProbe, settings: () => RedisSettings, changed: () => void) {
    this.#probe = probe;
    this.#settings = settings;
    this.#changed = changed;
  }

  of({ subscribedTo }: Pick<WatchedKey, 'subscribedTo'>): NotificationMode {
    const keyspace = subscribedTo === 'both' || subscribedTo === 'keyspace';
    if (keyspace && (this.#probed ?? this.#notified)) return 'keyspace';
    return subscribedTo === 'both' || subscribedTo === 'announcements'
      ? 'announcements'
      : 'polling';
  }

  /** The time within which a change is noticed even if messages are lost, with `count` keys in the heartbeat's rotation. */
  maxLagMs(mode: NotificationMode, count: number): number {
    const { heartbeatMs, pollMs, probeMs, replyTimeoutMs } = this.#settings();
    if (mode !== 'keyspace') return pollMs + replyTimeoutMs;
    // Either the rotation reaches the key, or a probe (where possible) finds that notifications have stopped and polling starts.
    const probing = this.#probed === undefined ? Infinity : probeMs + pollMs + replyTimeoutMs;
    return Math.min(count * heartbeatMs, probing) + replyTimeoutMs;
  }

  /** Takes a message that may belong to the probe; returns whether it did. */
  takeProbe(channel: string, message: string): boolean {
    return this.#probe.take(channel, message);
  }

  /** Reports the arrival of a keyspace notification. */
  notificationSeen(): void {
    if (this.#notified) return;
    this.#notified = true;
    if (this.#probed === undefined) this.#changed();
  }

  /** Tests whether notifications arrive. */
  async probe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const { configureNotifications, replyTimeoutMs } = this.#settings();
    if (configureNotifications) await this.#probe.configure();
    const found = await this.#probe.run(replyTimeoutMs);
    this.#probing = false;
    if (this.#stopped || found === this.#probed) return;
    this.#probed = found;
    // Notifications that came before they were switched off prove nothing now.
    if (found === false) this.#notified = false;
    this.#changed();
  }

  stop(): void {
    this.#stopped = true;
    this.#probe.stop();
  }
}
