import type { NotificationMode } from '../../credential/status.js';
import type { NotificationProbe } from './notification-probe.js';
import type { RedisSettings } from '../connection-options.js';
import type { WatchedKey } from './watched-keys.js';

/** The owner of {@link NotificationModes}. */
interface NotificationModesOwner {
  /** The modes have changed. */
  changed(): void;
  /** Notifications arrive again, or had to be switched on again: some may have been missed. */
  missed(): void;
  /** Notifications arrive at last, and polling ends: changes since the last poll may have been missed. */
  pollOnce(): void;
}

/** The sources of hints on one link, as far as probes and messages have shown. */
export class NotificationModes {
  readonly #probe: NotificationProbe;
  readonly #settings: () => RedisSettings;
  readonly #owner: NotificationModesOwner;
  /** The result of the last probe; `undefined` while probing is not possible. */
  #probed: boolean | undefined;
  #notified = false;
  #probing = false;
  #stopped = false;
  #isLive = false;

  constructor(
    probe: NotificationProbe,
    settings: () => RedisSettings,
    owner: NotificationModesOwner,
  ) {
    this.#probe = probe;
    this.#settings = settings;
    this.#owner = owner;
  }

  /** From now on keys are read, so that notifications can be missed. */
  goLive(): void {
    this.#isLive = true;
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
    const { heartbeatMs, pollMs, replyTimeoutMs, sweepMs } = this.#settings();
    if (mode !== 'keyspace') return pollMs + replyTimeoutMs;
    // A probe proves nothing about a single message, nor about each class of events: only the rotation counts.
    return Math.min(count * heartbeatMs, sweepMs + heartbeatMs) + replyTimeoutMs;
  }

  /** Takes a message that may belong to the probe; returns whether it did. */
  takeProbe(channel: string, message: string): boolean {
    return this.#probe.take(channel, message);
  }

  /** Reports the arrival of a keyspace notification. */
  notificationSeen(): void {
    if (this.#notified) return;
    this.#notified = true;
    if (this.#probed !== undefined) return;
    this.#owner.changed();
    if (this.#isLive) this.#owner.pollOnce();
  }

  /** Tests whether notifications arrive. */
  async probe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const { configureNotifications } = this.#settings();
    const configured = configureNotifications && (await this.#probe.configure());
    const found = await this.#probe.run();
    this.#probing = false;
    if (this.#stopped) return;
    const before = this.#probed;
    const relied = before ?? this.#notified;
    this.#probed = found;
    // Notifications that came before they were switched off prove nothing now.
    if (found === false) this.#notified = false;
    if (found !== before) this.#owner.changed();
    if (!this.#isLive) return;
    const arrives = found === true && !relied;
    if (configured || (arrives && before !== undefined)) this.#owner.missed();
    // Until the first probe has ended, which takes long over a slow link, all keys are polled.
    else if (arrives) this.#owner.pollOnce();
  }

  stop(): void {
    this.#stopped = true;
  }
}
