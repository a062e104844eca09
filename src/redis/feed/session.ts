import type { Observation } from '../../backend/backend.js';
import type { Content } from '../../credential/content.js';
import { UnavailableError, type RefusedError } from '../../errors.js';
import { hintFrom, hintFromEvent } from '../commands/announcement.js';
import { DataEpoch } from './data-epoch.js';
import type { FeedSessionContext } from './session-context.js';
import { BatchReader } from '../commands/batch-reader.js';
import { NotificationModes } from './notification-modes.js';
import { NotificationProbe } from './notification-probe.js';
import { ConnectionLostError, readFailure, RedirectedError, replyWord } from '../reply-errors.js';
import { announcementChannel, keyspaceChannel } from '../keys.js';
import { Connection } from '../connection/connection.js';
import { Reader, toObservation, type RawReading, type ReadRequest } from '../commands/reader.js';
import { RoleProbe } from './role-probe.js';
import { SessionTimers } from '../connection/session-timers.js';
import { Semaphore } from '../../util/semaphore.js';
import { Subscriptions } from './subscriptions.js';
import type { AnyWatched } from './watched-keys.js';

const MAX_READS = 256;
const EPOCH_BYTES = 1_024;

/** One session of the subscribed connection: its subscriptions, its heartbeat, its probes. Ends as a whole when any part fails. */
export class FeedSession {
  readonly #context: FeedSessionContext;
  readonly #connection: Connection;
  readonly #reader: Reader;
  readonly #batchReader: BatchReader;
  readonly #subscriptions: Subscriptions;
  readonly #probe: NotificationProbe;
  readonly #role: RoleProbe;
  readonly modes: NotificationModes;
  readonly #epoch: DataEpoch;
  readonly #prefixes: { readonly keyspace: string; readonly announcements: string };
  readonly #timers: SessionTimers<'beat' | 'poll' | 'probe'>;
  #polled = false;
  #reporting = false;
  #unsubscribed: AnyWatched[] = [];
  /** A resync reads everything at once; the reply deadline is for one reading, not for all of them. */
  readonly #permits = new Semaphore(MAX_READS);
  #stopped = false;

  private constructor(context: FeedSessionContext, connection: Connection) {
    const { db } = context.template;
    const { clock } = context.connectionSettings;
    this.#context = context;
    this.#connection = connection;
    this.#timers = new SessionTimers(clock);
    this.#reader = new Reader(connection, clock);
    this.#batchReader = new BatchReader(connection, clock, context.time);
    this.#subscriptions = new Subscriptions(connection, db);
    this.#role = new RoleProbe(connection, context.commands, (error) => {
      this.#fail(error);
    });
    const probeKey = (): string | undefined => context.ownKey('probe');
    this.#probe = new NotificationProbe(connection, context.commands, clock, db, probeKey);
    this.modes = new NotificationModes(this.#probe, context.settings, () => {
      context.changed(this);
    });
    this.#epoch = new DataEpoch(
      context,
      (key) => this.#readEpoch(key),
      () => {
        this.#report('data');
      },
    );
    this.#prefixes = {
      keyspace: keyspaceChannel(db, ''),
      announcements: announcementChannel(db, ''),
    };
    connection.client.on('message', (channel: string, message: string) => {
      this.#receive(channel, message);
    });
    connection.client.on('pmessage', (pattern: string, channel: string, message: string) => {
      this.#receive(channel, message, pattern);
    });
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
      const wanted = [...context.keys];
      await session.#subscriptions.subscribe(wanted);
      for (const watched of wanted) if (watched.watchers.length === 0) session.unsubscribe(watched);
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

  /** The reader of the subscribed connection, if that can read. */
  get reader(): Reader | undefined {
    return this.#connection.canReadWhileSubscribed ? this.#reader : undefined;
  }

  /** Starts heartbeat, polling and probing; the session is live. */
  start(): void {
    void this.#connection.closed.then(() => {
      this.#fail(new ConnectionLostError(true, this.#connection.lastError));
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
    this.#timers.every('beat', period('heartbeatMs'), () => {
      this.#heartbeat();
    });
    this.#timers.every('poll', period('pollMs'), () => {
      if (this.#context.keys.pollAll((watched) => this.modes.of(watched) !== 'keyspace'))
        this.#polled = true;
    });
    this.#timers.every('probe', period('probeMs'), () => {
      void this.modes.probe();
      this.#retryRefused().catch(this.#failUnlessRefused);
    });
  }

  /** Subscribes to a key, together with all other keys of the same turn. */
  subscribe(watched: AnyWatched): void {
    this.#unsubscribed.push(watched);
    if (this.#unsubscribed.length > 1) return;
    this.#context.connectionSettings.clock.nextTurn(() => {
      const unsubscribed = this.#unsubscribed.filter(
        ({ subscribedTo, watchers }) => subscribedTo === undefined && watchers.length > 0,
      );
      this.#unsubscribed = [];
      if (!this.#stopped && unsubscribed.length > 0) void this.#subscribeTo(unsubscribed);
    });
  }

  unsubscribe(watched: AnyWatched): void {
    this.#subscriptions.unsubscribe(watched).catch(this.#failUnlessRefused);
  }

  /** @throws UnavailableError, after the session was reported as lost, or RefusedError */
  read(key: string, maxBytes: number): Promise<Observation> {
    const epochKey = this.#epoch.takeDue();
    const request = { key, maxBytes, epochKey };
    const read = (): Promise<Observation> =>
      this.#readOne(request).then(
        (one) => {
          this.#permits.release();
          return this.#observed(one, epochKey);
        },
        (error: unknown) => {
          this.#permits.release();
          throw this.failure(error);
        },
      );
    return this.#permits.acquire()?.then(read) ?? read();
  }

  /** As {@link FeedSession.read}; `undefined` for each key that is to be read alone. */
  async readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    if (this.#context.time.hasStepped()) this.#report('clock');
    try {
      return await this.#batchReader.read(keys, maxBytes);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** The error of a failed reading. A reading without a reply ends the session, which is reported before the caller gets the error. */
  failure(error: unknown): UnavailableError | RefusedError {
    const failure = readFailure(error, this.#connection.source);
    if (failure instanceof UnavailableError && !(failure instanceof RedirectedError))
      this.#context.lost(this, error);
    return failure;
  }

  reportClockStep(): void {
    this.#report('clock');
  }

  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    this.modes.stop();
    this.#connection.kill();
  }

  #readOne(request: ReadRequest): Promise<RawReading> {
    const { reader } = this;
    if (reader !== undefined) return reader.read(request);
    return this.#context.commands.get().then((session) => session.reader.read(request));
  }

  #observed(reading: RawReading, epochKey: string | undefined): Observation {
    // The sample would hide the step from later checks.
    if (this.#context.time.hasStepped()) this.#report('clock');
    // Reported in a later turn, because the observation at hand already shows the new data.
    if (epochKey !== undefined && reading.epoch !== undefined)
      this.#epoch.compare(epochKey, reading.epoch);
    return toObservation(reading, this.#context.time);
  }

  async #readEpoch(key: string): Promise<Content | undefined> {
    try {
      return (await this.#readOne({ key, maxBytes: EPOCH_BYTES, epochKey: undefined })).content;
    } catch (error) {
      if (!this.#stopped) this.failure(error);
      return undefined;
    }
  }

  #report(gap: 'data' | 'clock'): void {
    // Several readings that notice the same gap report one.
    if (this.#reporting) return;
    this.#reporting = true;
    this.#context.connectionSettings.clock.nextTurn(() => {
      this.#reporting = false;
      if (!this.#stopped) this.#context.gap(this, gap);
    });
  }

  /** @param pattern - has the prefix and `*` where the channel has the key */
  #receive(channel: string, message: string, pattern?: string): void {
    const { keys, instance } = this.#context;
    const { keyspace, announcements } = this.#prefixes;
    if (this.#stopped) return;
    const isEvent = channel.startsWith(keyspace);
    const start = (isEvent ? keyspace : announcements).length;
    if (pattern === undefined && this.#probe.take(channel, message)) return;
    if (isEvent) this.modes.notificationSeen();
    else if (!channel.startsWith(announcements)) return;
    const hint = isEvent ? hintFromEvent(message) : hintFrom(message, instance);
    if (pattern === undefined) keys.hint(channel.slice(start), hint);
    else keys.hintBelow(pattern.slice(start, -1), channel.slice(start), hint);
  }

  /** Proves the link alive, where possible by an observation, which also makes up for lost hints, and the server a master. */
  #heartbeat(): void {
    const { keys, time } = this.#context;
    if (time.hasStepped()) this.#report('clock');
    // A single key shows its own loss.
    if (keys.size > 1) this.#epoch.request();
    const polled = this.#polled || keys.pollNext();
    this.#polled = false;
    // A key with a reading under way is busy, and that reading proves as much.
    this.#role.check((polled && this.reader !== undefined) || this.#connection.awaitsReply);
  }

  async #retryRefused(): Promise<void> {
    const gained = await this.#subscriptions.retryRefused(
      this.#context.keys,
      this.#context.settings().random,
    );
    if (!this.#stopped && gained.length > 0) this.#context.changed(this, gained);
  }

  async #subscribeTo(unsubscribed: readonly AnyWatched[]): Promise<void> {
    try {
      await this.#subscriptions.subscribe(unsubscribed);
      if (this.#stopped) return;
      for (const watched of unsubscribed) {
        // The last watcher left during the subscription, unless another one came for the same key.
        if (!this.#context.keys.has(watched)) this.unsubscribe(watched);
      }
      this.#context.changed(this, unsubscribed);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #failUnlessRefused = (error: unknown): void => {
    if (replyWord(error) === undefined) this.#fail(error);
  };

  #fail(error: unknown): void {
    if (!this.#stopped) this.#context.lost(this, error);
  }
}
