import type { NotificationMode } from '../store-status.js';
import type { Observation } from '../credential-backend.js';
import { UnavailableError, type RefusedError } from '../errors.js';
import type { ServerTime } from '../server-time.js';
import { hintFrom, hintFromEvent } from './announcement.js';
import type { CommandLink } from './command-link.js';
import { DataEpoch, EPOCH_KEY } from './data-epoch.js';
import { NotificationProbe } from './notification-probe.js';
import { LinkLostError, readFailure, replyWord } from './redis-errors.js';
import { announcementChannel, keyspaceChannel } from './redis-keys.js';
import { RedisLink, type LinkOptions } from './redis-link.js';
import { RedisObserver, toObservation, type Look, type LookRequest } from './redis-observing.js';
import type { RedisSettings } from './redis-settings.js';
import type { RedisTemplate } from './redis-template.js';
import { RunTimers } from './run-timers.js';
import { Slots } from './slots.js';
import { Subscriptions } from './subscriptions.js';
import type { WatchedKey, WatchedKeys } from './watched-keys.js';

const LOOKS_UNDER_WAY = 256;

export interface FeedRunContext {
  readonly template: RedisTemplate;
  readonly linkOptions: LinkOptions;
  readonly keys: WatchedKeys;
  readonly commands: CommandLink;
  readonly time: ServerTime;
  readonly node: string;
  readonly newName: () => string;
  settings(): RedisSettings;
  /** The link is gone, or not to be trusted. */
  lost(run: FeedRun, error: unknown): void;
  /** Hints may have been missed although the link lives. */
  gap(run: FeedRun, gap: 'data' | 'clock'): void;
  /** What is heard of all keys has changed, or of `some` only. */
  changed(run: FeedRun, some?: readonly WatchedKey[]): void;
}

/** One life of the subscriber's link: its subscriptions, its heartbeat, its tests. Dies as a whole when anything about it fails. */
export class FeedRun {
  readonly #context: FeedRunContext;
  readonly #link: RedisLink;
  readonly #observer: RedisObserver;
  readonly #subscriptions: Subscriptions;
  readonly #probe: NotificationProbe;
  readonly #epoch: DataEpoch;
  readonly #prefixes: { readonly keyspace: string; readonly announcements: string };
  readonly #timers: RunTimers<'beat' | 'poll' | 'probe'>;
  /** What the last probe found; `undefined` while probing is not possible. */
  #probed: boolean | undefined;
  #notified = false;
  #polled = false;
  #epochDue = false;
  #probing = false;
  #reporting = false;
  #missing: WatchedKey[] = [];
  /** A resync looks at everything at once; the reply deadline is for one look, not for all of them. */
  readonly #slots = new Slots(LOOKS_UNDER_WAY);
  #stopped = false;

  private constructor(context: FeedRunContext, link: RedisLink) {
    const { db } = context.template;
    const { clock } = context.linkOptions;
    this.#context = context;
    this.#link = link;
    this.#timers = new RunTimers(clock);
    this.#observer = new RedisObserver(link, clock);
    this.#subscriptions = new Subscriptions(link, db);
    this.#probe = new NotificationProbe(link, context.commands, clock, db, context.node);
    this.#epoch = new DataEpoch(context.commands, context.newName);
    this.#prefixes = {
      keyspace: keyspaceChannel(db, ''),
      announcements: announcementChannel(db, ''),
    };
    link.client.on('message', (channel: string, message: string) => {
      if (!this.#stopped) this.#take(channel, message);
    });
  }

  /** Connects and subscribes to all keys watched now. @throws LinkLostError, or an error reply of Redis */
  static async open(context: FeedRunContext, signal: AbortSignal): Promise<FeedRun> {
    const link = await RedisLink.open(context.template, context.linkOptions, signal);
    const run = new FeedRun(context, link);
    const giveUp = (): void => {
      run.stop();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      const wanted = [...context.keys];
      await run.#subscriptions.listen(wanted);
      for (const watched of wanted) if (watched.watchers.length === 0) run.leave(watched);
      // RESP2 mixes replies and messages, so a subscribed connection cannot read.
      if (!link.canReadWhileSubscribed) await context.commands.get();
    } catch (error) {
      run.stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    return run;
  }

  get vouchedAt(): number {
    return this.#link.vouchedAt;
  }

  /** The observer of the subscribed connection, if that can read. */
  get observer(): RedisObserver | undefined {
    return this.#link.canReadWhileSubscribed ? this.#observer : undefined;
  }

  /** Starts the heartbeat, polling and probing; the run is live. */
  start(): void {
    void this.#link.closed.then(() => {
      this.#fail(new LinkLostError(true, this.#link.lastError));
    });
    this.retime();
    void this.#runProbe();
    // Keys that came while the run was being opened.
    for (const watched of this.#context.keys) if (watched.heard === undefined) this.listen(watched);
  }

  /** Sets the timers anew, after the settings changed. */
  retime(): void {
    const period = (name: 'heartbeatMs' | 'pollMs' | 'probeMs') => () =>
      this.#context.settings()[name];
    this.#timers.every('beat', period('heartbeatMs'), () => {
      this.#beat();
    });
    this.#timers.every('poll', period('pollMs'), () => {
      if (this.#context.keys.pollAll((watched) => this.mode(watched) !== 'keyspace'))
        this.#polled = true;
    });
    this.#timers.every('probe', period('probeMs'), () => {
      void this.#runProbe();
      this.#regain().catch(this.#failUnlessRefused);
    });
  }

  mode({ heard }: WatchedKey): NotificationMode {
    const keyspace = heard === 'both' || heard === 'keyspace';
    if (keyspace && (this.#probed ?? this.#notified)) return 'keyspace';
    return heard === 'both' || heard === 'announcements' ? 'announcements' : 'polling';
  }

  /** Within how long a change is seen, whatever is lost, with `count` keys in the heartbeat's rotation. */
  boundMs(mode: NotificationMode, count: number): number {
    const { heartbeatMs, pollMs, probeMs, replyTimeoutMs } = this.#context.settings();
    if (mode !== 'keyspace') return pollMs + replyTimeoutMs;
    // Either the rotation comes by, or a probe (where one is possible) finds that notifications have stopped and polling starts.
    const probing = this.#probed === undefined ? Infinity : probeMs + pollMs + replyTimeoutMs;
    return Math.min(count * heartbeatMs, probing) + replyTimeoutMs;
  }

  /** Subscribes to a key, together with all others that come in the same turn. */
  listen(watched: WatchedKey): void {
    this.#missing.push(watched);
    if (this.#missing.length > 1) return;
    this.#context.linkOptions.clock.nextTurn(() => {
      const missing = this.#missing.filter(
        ({ heard, watchers }) => heard === undefined && watchers.length > 0,
      );
      this.#missing = [];
      if (!this.#stopped && missing.length > 0) void this.#listenTo(missing);
    });
  }

  leave(watched: WatchedKey): void {
    this.#subscriptions.leave(watched).catch(this.#failUnlessRefused);
  }

  /** @throws UnavailableError, after the run was told to be lost, or RefusedError */
  observe(key: string, maxBytes: number): Promise<Observation> {
    const epochKey = this.#epochDue ? EPOCH_KEY : undefined;
    this.#epochDue = false;
    const request = { key, maxBytes, epochKey };
    const look = (): Promise<Observation> =>
      this.#look(request).then(
        (one) => {
          this.#slots.give();
          return this.#taken(one);
        },
        (error: unknown) => {
          this.#slots.give();
          throw this.failure(error);
        },
      );
    return this.#slots.take()?.then(look) ?? look();
  }

  /** What a reading failed with. One that got no answer is the end of the run, told before the reader hears of it. */
  failure(error: unknown): UnavailableError | RefusedError {
    const failure = readFailure(error);
    if (failure instanceof UnavailableError) this.#context.lost(this, error);
    return failure;
  }

  reportClockStep(): void {
    this.#report('clock');
  }

  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    this.#probe.stop();
    this.#link.kill();
  }

  #look(request: LookRequest): Promise<Look> {
    const { observer } = this;
    if (observer !== undefined) return observer.look(request);
    return this.#context.commands.get().then((commanding) => commanding.observer.look(request));
  }

  #taken(look: Look): Observation {
    // The sample hides the step from whoever looks later.
    if (this.#context.time.hasStepped()) this.#report('clock');
    // Reported in a later turn: the observation at hand is of the data as it is now.
    if (look.epoch !== undefined && this.#epoch.check(look.epoch)) this.#report('data');
    return toObservation(look, this.#context.time);
  }

  #report(gap: 'data' | 'clock'): void {
    // However many reads notice the same gap, it is one.
    if (this.#reporting) return;
    this.#reporting = true;
    this.#context.linkOptions.clock.nextTurn(() => {
      this.#reporting = false;
      if (!this.#stopped) this.#context.gap(this, gap);
    });
  }

  #take(channel: string, message: string): void {
    const { keys, node } = this.#context;
    const { keyspace, announcements } = this.#prefixes;
    if (this.#probe.take(channel, message)) return;
    if (channel.startsWith(keyspace)) {
      if (!this.#notified) {
        this.#notified = true;
        if (this.#probed === undefined) this.#context.changed(this);
      }
      keys.hint(channel.slice(keyspace.length), hintFromEvent(message));
    } else if (channel.startsWith(announcements)) {
      keys.hint(channel.slice(announcements.length), hintFrom(message, node));
    }
  }

  /** One command that proves the link alive; where it can, it is an observation, so that lost hints are made up for too. */
  #beat(): void {
    const { keys, time } = this.#context;
    if (time.hasStepped()) this.#report('clock');
    this.#epochDue = keys.size > 1;
    const polled = this.#polled || keys.pollNext();
    this.#polled = false;
    // A key is busy while it is observed, and that tells as much.
    if ((polled && this.observer !== undefined) || this.#link.awaited) return;
    this.#link.call((client) => client.ping()).catch(this.#failUnlessRefused);
  }

  async #runProbe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const { configureNotifications, replyTimeoutMs } = this.#context.settings();
    if (configureNotifications) await this.#probe.configure();
    const found = await this.#probe.run(replyTimeoutMs);
    this.#probing = false;
    if (this.#stopped || found === this.#probed) return;
    this.#probed = found;
    // What was seen before notifications were switched off says nothing about now.
    if (found === false) this.#notified = false;
    this.#context.changed(this);
  }

  async #regain(): Promise<void> {
    const gained = await this.#subscriptions.regain(this.#context.keys);
    if (!this.#stopped && gained.length > 0) this.#context.changed(this, gained);
  }

  async #listenTo(missing: readonly WatchedKey[]): Promise<void> {
    try {
      await this.#subscriptions.listen(missing);
      if (this.#stopped) return;
      for (const watched of missing) {
        // Its watchers left before it was subscribed to, unless others came for the same key.
        if (this.#context.keys.get(watched.key) === undefined) this.leave(watched);
      }
      this.#context.changed(this, missing);
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
