import { Connection } from '../connection/connection.js';
import { SessionTimers } from '../connection/session-timers.js';
import { ConnectionLostError } from '../reply-errors.js';
import { GapReporter } from './gap-reporter.js';
import { MessageReceiver } from './message-receiver.js';
import { NotificationModes } from './notification-modes.js';
import { NotificationProbe } from './notification-probe.js';
import { RoleProbe } from './role-probe.js';
import type { FeedSessionContext } from './session-context.js';
import { SessionReader } from './session-reader.js';
import { SubscriptionBatcher } from './subscription-batcher.js';
import { Subscriptions } from './subscriptions.js';
import type { WatchedKey } from './watched-keys.js';

/** One session of the subscribed connection: its subscriptions, its heartbeat, its probes. Ends as a whole when any part fails. */
export class FeedSession {
  readonly modes: NotificationModes;
  readonly reader: SessionReader;
  readonly #context: FeedSessionContext;
  readonly #connection: Connection;
  readonly #subscriptions: SubscriptionBatcher;
  readonly #receiver: MessageReceiver;
  readonly #gaps: GapReporter;
  readonly #role: RoleProbe;
  readonly #timers: SessionTimers<'heartbeat' | 'poll' | 'probe'>;
  /** Everything was polled since the last heartbeat. */
  #polled = false;

  private constructor(context: FeedSessionContext, connection: Connection) {
    const { commands, connectionSettings, settings, template } = context;
    const { clock } = connectionSettings;
    const failed = (error: unknown): void => {
      this.#fail(error);
    };
    this.#context = context;
    this.#connection = connection;
    this.#timers = new SessionTimers(clock);
    this.#gaps = new GapReporter(clock, (gap) => {
      context.gap(this, gap);
    });
    this.reader = new SessionReader(context, connection, this.#gaps, failed);
    this.#subscriptions = new SubscriptionBatcher(new Subscriptions(connection, template.db), {
      clock,
      keys: context.keys,
      random: () => settings().random(),
      changed: (some) => {
        context.changed(this, some);
      },
      failed,
    });
    this.#role = new RoleProbe(connection, commands, failed);
    const probeKey = (): string | undefined => context.ownKey('probe');
    const probe = new NotificationProbe(connection, commands, clock, template.db, probeKey);
    this.modes = new NotificationModes(probe, settings, () => {
      context.changed(this);
    });
    this.#receiver = new MessageReceiver(context, connection, this.modes);
  }

  /** Connects and subscribes to all keys watched now. @throws ConnectionLostError, or an error reply of Redis */
  static async open(context: FeedSessionContext, signal: AbortSignal): Promise<FeedSession> {
    const connection = await Connection.open(context.template, context.connectionSettings, signal);
    const session = new FeedSession(context, connection);
    const giveUp = (): void => {
      session.stop();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      await session.#subscriptions.addAll();
      // RESP2 mixes replies and messages, so a subscribed connection cannot read.
      if (!connection.canReadWhileSubscribed) await context.commands.get();
    } catch (error) {
      session.stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    return session;
  }

  get confirmedAt(): number {
    return this.#connection.confirmedAt;
  }

  /** Starts heartbeat, polling and probing; the session is live. */
  start(): void {
    void this.#connection.closed.then(() => {
      this.#fail(new ConnectionLostError(true, this.#connection.lastError));
    });
    this.#connection.proof.onSilence((silentMs) => {
      const { keys, settings } = this.#context;
      const { heartbeatMs, replyTimeoutMs } = settings();
      // At once: a reply that breaks the silence vouches for no reading before it.
      if (silentMs > heartbeatMs + replyTimeoutMs && silentMs > keys.maxStalenessMs)
        this.#context.gap(this, 'link');
    });
    this.applySettings();
    void this.modes.probe();
    // Keys whose watch began during the opening of the session.
    for (const watched of this.#context.keys)
      if (watched.subscribedTo === undefined) this.subscribe(watched);
  }

  /** Sets the timers anew, after the settings changed. */
  applySettings(): void {
    const period = (name: 'heartbeatMs' | 'pollMs' | 'probeMs') => () =>
      this.#context.settings()[name];
    this.#timers.every('heartbeat', period('heartbeatMs'), () => {
      this.#heartbeat();
    });
    this.#timers.every('poll', period('pollMs'), () => {
      this.#poll();
    });
    this.#timers.every('probe', period('probeMs'), () => {
      void this.modes.probe();
      this.#subscriptions.retryRefused();
    });
  }

  /** Subscribes to a key, together with all other keys of the same turn. */
  subscribe(watched: WatchedKey): void {
    this.#subscriptions.add(watched);
  }

  unsubscribe(watched: WatchedKey): void {
    this.#subscriptions.remove(watched);
  }

  reportClockStep(): void {
    this.#gaps.report('clock');
  }

  stop(): void {
    this.#timers.stop();
    this.#gaps.stop();
    this.#subscriptions.stop();
    this.#receiver.stop();
    this.modes.stop();
    this.#connection.kill();
  }

  #poll(): void {
    const polled = this.#context.keys.pollAll((watched) => this.modes.of(watched) !== 'keyspace');
    if (polled) this.#polled = true;
  }

  /** Proves the link alive, where possible by an observation, which also makes up for lost hints, and the server a master. */
  #heartbeat(): void {
    const { keys } = this.#context;
    this.reader.checkClocks();
    // A single key shows its own loss.
    if (keys.size > 1) this.reader.checkData();
    const polled = this.#polled || keys.pollNext();
    this.#polled = false;
    const readsHere = polled && this.reader.overFeed !== undefined;
    // A key with a reading under way is busy, and that reading proves as much.
    this.#role.check(readsHere || this.#connection.awaitsReply);
  }

  #fail(error: unknown): void {
    // A stopped session is not the feed's any longer, which then ignores the report.
    this.#context.lost(this, error);
  }
}
