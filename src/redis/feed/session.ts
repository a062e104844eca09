import { Connection } from '../connection/connection.js';
import { SessionTimers } from '../connection/session-timers.js';
import { withDeadline } from '../../time/timers.js';
import { ConnectionLostError } from '../reply-errors.js';
import { GapReporter } from './missed/gap-reporter.js';
import { MessageReceiver } from './hints/message-receiver.js';
import type { ChannelKind } from './hints/muted-channels.js';
import { NotificationModes } from './notification-modes.js';
import { NotificationProbe } from './notification-probe.js';
import { RoleProbe } from './role-probe.js';
import type { FeedSessionContext } from './session-context.js';
import { SessionReader } from './session-reader.js';
import { SubscriptionBatcher } from './subscription-batcher.js';
import { Subscriptions } from './subscriptions.js';
import { WatchedPrefix, type WatchedKey } from './watched-keys.js';

/** The pause between two readings of an opened key whose flooded channels are left. */
const MUTED_POLL_MS = 100;

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
  readonly #timers: SessionTimers<'heartbeat' | 'poll' | 'probe' | 'muted'>;
  /** Everything was polled since the last heartbeat. */
  #polled = false;

  private constructor(context: FeedSessionContext, connection: Connection) {
    const { commands, connectionSettings, names, settings, template } = context;
    const { clock } = connectionSettings;
    const failed = (error: unknown): void => {
      this.#fail(error);
    };
    this.#context = context;
    this.#connection = connection;
    this.#timers = new SessionTimers(clock);
    this.#gaps = new GapReporter(clock, settings, (gap) => {
      context.gap(this, gap);
    });
    this.reader = new SessionReader(context, connection, this.#gaps, failed);
    this.#subscriptions = new SubscriptionBatcher(
      new Subscriptions(connection, template.db, names, context.keys.muted),
      {
        clock,
        keys: context.keys,
        random: () => settings().random(),
        prepared: () => this.#prepareEpoch(),
        changed: (some) => {
          context.changed(this, some);
        },
        failed,
      },
    );
    this.#role = new RoleProbe(connection, commands, this.reader.reads, failed);
    const probeKey = (): string | undefined => context.ownKey('probe');
    const probe = new NotificationProbe(connection, commands, template.db, probeKey);
    this.modes = new NotificationModes(probe, settings, {
      changed: () => {
        context.changed(this);
      },
      missed: () => {
        this.#gaps.report('link');
      },
      pollOnce: () => {
        context.keys.pollAll(() => true);
      },
    });
    this.#receiver = new MessageReceiver(context, connection, this.modes, (watched, kind) => {
      this.#mute(watched, kind);
    });
  }

  /**
   * Connects, subscribes to all keys watched now, and finds out what hints will arrive, so that nothing is missed after the first reading.
   *
   * @throws ConnectionLostError, or an error reply of Redis
   */
  static async open(context: FeedSessionContext, signal: AbortSignal): Promise<FeedSession> {
    const connection = await Connection.open(context.template, context.connectionSettings, signal);
    const session = new FeedSession(context, connection);
    const giveUp = (): void => {
      session.stop();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      const probed = session.#inTime(session.modes.probe());
      const tried = session.#inTime(session.#tryScripts());
      await session.#subscriptions.addAll();
      // Not sooner: with RESP2 the connection cannot read from now on, and until now that does not show.
      await Promise.all([probed, tried, session.#inTime(session.#prepareEpoch())]);
      // RESP2 mixes replies and messages, so a subscribed connection cannot read.
      if (!connection.canReadWhileSubscribed) await session.reader.reads.get();
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
    this.modes.goLive();
    this.applySettings();
    this.#pollMuted();
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
      this.#subscriptions.retry();
    });
  }

  /** Subscribes to a key, together with all other keys of the same turn. */
  subscribe(watched: WatchedKey): void {
    this.#subscriptions.add(watched);
  }

  unsubscribe(watched: WatchedKey): void {
    this.#subscriptions.remove(watched);
  }

  /** Reports that a reading found a change of a key without any hint. */
  reportMissedHint(watched: WatchedKey): void {
    // With RESP2 a hint may arrive after the reply. A single key has been read just now.
    if (this.reader.overFeed === undefined || !this.#context.keys.areMany) return;
    if (this.modes.of(watched) === 'keyspace') this.#gaps.reportMissed();
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
    this.reader.reads.kill();
  }

  /** Takes much less than a reply may take: the other connection may hang, and the bound counts one reply. */
  async #inTime(preparation: Promise<void>): Promise<void> {
    const { connectionSettings, settings } = this.#context;
    const late = (): Error => new ConnectionLostError(true);
    const { replyTimeoutMs } = settings();
    await withDeadline(connectionSettings.clock, preparation, replyTimeoutMs / 4, late).catch(
      () => undefined,
    );
  }

  async #tryScripts(): Promise<void> {
    await this.reader.tryScripts();
    if (this.reader.scriptsRefused !== undefined) this.#context.changed(this);
  }

  /** A single key shows its own loss. */
  #prepareEpoch(): Promise<void> {
    return this.#context.keys.areMany ? this.reader.prepareEpoch() : Promise.resolve();
  }

  /** A flooded channel is left; notifications tell of the changes, or frequent readings. */
  #mute(watched: WatchedKey, kind: ChannelKind): void {
    const isNotified = this.modes.of(watched) === 'keyspace';
    if (watched instanceof WatchedPrefix && (kind === 'keyspace' || !isNotified)) return;
    this.#subscriptions.mute(watched, kind);
    this.#pollMuted();
  }

  #pollMuted(): void {
    const { muted } = this.#context.keys;
    if (muted.isEmpty) return;
    const poll = (): void => {
      for (const watched of muted.keys)
        if (this.modes.of(watched) !== 'keyspace') watched.pollOpen();
      if (muted.isEmpty) this.#timers.stop('muted');
    };
    this.#timers.every('muted', () => MUTED_POLL_MS, poll);
  }

  #poll(): void {
    let left = 0;
    const polled = this.#context.keys.pollAll((watched) => {
      const polls = this.modes.of(watched) !== 'keyspace';
      if (!polls) left += 1;
      return polls;
    });
    if (polled && left === 0) this.#polled = true;
  }

  /** Proves the link alive, where possible by an observation, which also makes up for lost hints, and the server a master. */
  #heartbeat(): void {
    const { keys, settings } = this.#context;
    const { heartbeatMs, sweepMs } = settings();
    this.reader.checkClocks();
    this.#gaps.review();
    // A single key shows its own loss.
    if (keys.size > 1) this.reader.checkData();
    const share = Math.max(1, Math.ceil((keys.size * heartbeatMs) / sweepMs));
    const polled = this.#polled || keys.pollNext(share);
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
