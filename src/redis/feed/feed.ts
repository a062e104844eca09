import {
  createFeedCondition,
  type HintFeed,
  type FeedCondition,
  type KeyWatcher,
  type Observation,
  type PrefixWatcher,
} from '../../backend/backend.js';
import { ClosedError, UnavailableError, type RefusedError } from '../../errors.js';
import { inRootContext } from '../../time/async-context.js';
import { setLongTimeout } from '../../time/timers.js';
import { FeedSession } from './session.js';
import type { FeedSessionContext } from './session-context.js';
import { isDenial, readFailure } from '../reply-errors.js';
import { toObservation } from '../commands/reader.js';
import { retryPauseMs } from '../connection/retry.js';
import { WatchedKeys, type AnyWatched, type WatchedKey } from './watched-keys.js';

/** After a session of this length the next failure counts as the first one. */
const GOOD_LIFE_MS = 1_000;

type Condition = Pick<FeedCondition, 'link' | 'generation' | 'gap' | 'error'>;

export interface FeedContext extends Omit<FeedSessionContext, 'keys' | 'lost' | 'gap' | 'changed'> {
  /** A number that no other generation of any feed has. */
  readonly newGeneration: () => number;
  /** The link is lost, or could not be opened. */
  readonly linkLost: () => void;
}

/**
 * Keeps the hints of all watched keys arriving: while any key is watched there is a session, or one is being opened, or a timer will open
 * one. Every gap between sessions begins a new generation.
 */
export class Feed implements HintFeed {
  readonly #context: FeedContext;
  readonly #keys = new WatchedKeys();
  #session: FeedSession | undefined;
  /** Identifies the opening under way, and aborts it. */
  #opening: AbortController | undefined;
  #cancelRetry: (() => void) | undefined;
  #wasLive = false;
  #liveSince = 0;
  #failures = 0;
  #condition: Condition = {
    link: 'connecting',
    generation: 0,
    gap: 'link',
    error: undefined,
  };
  /** Keys in the same condition share one object. */
  readonly #conditions = new Map<string, FeedCondition>();
  #lastConfirmedAt: number;
  #recounting = false;
  /** Whether this process may announce its writes, as far as known. */
  #canAnnounce = true;
  #closed = false;

  constructor(context: FeedContext) {
    this.#context = context;
    this.#lastConfirmedAt = context.connectionSettings.clock.monotonic();
  }

  watch(key: string, watcher: KeyWatcher): void {
    const watched = this.#keys.add(key, watcher);
    this.#added(watched, () => {
      if (watched.has(watcher)) watcher.conditionChanged(this.#conditionOf(watched));
    });
  }

  unwatch(key: string, watcher: KeyWatcher): void {
    this.#removed(this.#keys.remove(key, watcher));
  }

  #added(watched: AnyWatched, report: () => void): void {
    this.#context.connectionSettings.clock.nextTurn(report);
    if (this.#session === undefined)
      inRootContext(() => {
        this.#open();
      });
    else if (watched.subscribedTo === undefined && watched.watchers.length === 1)
      this.#session.subscribe(watched);
    this.#recount();
  }

  #removed(abandoned: AnyWatched | undefined): void {
    if (abandoned === undefined) return;
    inRootContext(() => this.#session?.unsubscribe(abandoned));
    if (this.#keys.isEmpty) this.#goIdle();
    else this.#recount();
  }

  watchPrefix(prefix: string, watcher: PrefixWatcher): void {
    const watched = this.#keys.addPrefix(prefix, watcher);
    this.#added(watched, () => {
      if (watched.has(watcher)) watcher.conditionChanged(this.#conditionOf(watched));
    });
  }

  unwatchPrefix(prefix: string, watcher: PrefixWatcher): void {
    this.#removed(this.#keys.removePrefix(prefix, watcher));
  }

  /** Reads a key over the subscribed connection; `undefined` when there is none or it cannot read. */
  async tryRead(key: string, maxBytes: number): Promise<Observation | undefined> {
    const session = this.#session;
    if (session?.reader === undefined) return undefined;
    try {
      return toObservation(
        await session.reader.read({ key, maxBytes, epochKey: undefined }),
        this.#context.time,
      );
    } catch (error) {
      // The session ended with its last watcher and was not lost: the other connection can reply.
      if (this.#keys.isEmpty) return undefined;
      throw session.failure(error);
    }
  }

  /** Reports the changed condition to the watchers, of all keys or of `some`. */
  changed(some?: readonly AnyWatched[]): void {
    if (some === undefined) this.#conditions.clear();
    this.#keys.report((watched) => this.#conditionOf(watched), some);
  }

  setCanAnnounce(canAnnounce: boolean): void {
    if (canAnnounce === this.#canAnnounce) return;
    this.#canAnnounce = canAnnounce;
    this.changed();
  }

  applySettings(): void {
    this.#session?.applySettings();
    this.#recount();
  }

  close(): void {
    this.#closed = true;
    this.#goIdle();
  }

  #open(): void {
    if (this.#closed || this.#opening !== undefined || this.#cancelRetry !== undefined) return;
    const attempt = new AbortController();
    this.#opening = attempt;
    FeedSession.open(
      {
        ...this.#context,
        keys: this.#keys,
        lost: (session, error) => {
          this.#lost(session, error);
        },
        gap: (session, gap) => {
          if (session === this.#session)
            this.#newGeneration({ link: 'live', gap, error: undefined });
        },
        changed: (session, some) => {
          if (session === this.#session) this.changed(some);
        },
      },
      attempt.signal,
    ).then(
      (session) => {
        if (this.#opening === attempt) this.#live(session);
        else session.stop();
      },
      (error: unknown) => {
        if (this.#opening !== attempt) return;
        this.#opening = undefined;
        this.#keys.forgetSubscriptions();
        this.#retry(readFailure(error));
      },
    );
  }

  #live(session: FeedSession): void {
    this.#opening = undefined;
    this.#session = session;
    this.#wasLive = true;
    this.#liveSince = this.#context.connectionSettings.clock.monotonic();
    session.start();
    this.#newGeneration({ link: 'live', gap: 'link', error: undefined });
  }

  #lost(session: object, error: unknown): void {
    if (session !== this.#session) return;
    this.#endSession();
    if (this.#context.connectionSettings.clock.monotonic() - this.#liveSince >= GOOD_LIFE_MS)
      this.#failures = 0;
    this.#retry(readFailure(error));
  }

  #retry(error: UnavailableError | RefusedError): void {
    const denied = isDenial(error);
    const { connectionSettings, settings } = this.#context;
    this.#failures += 1;
    const pause = retryPauseMs(this.#failures, denied, settings().random);
    this.#cancelRetry = setLongTimeout(connectionSettings.clock, pause, () => {
      this.#cancelRetry = undefined;
      this.#open();
    });
    const link = denied ? 'unauthorized' : this.#wasLive ? 'reconnecting' : 'connecting';
    this.#newGeneration({ link, gap: 'link', error });
    this.#context.linkLost();
  }

  /** Nothing is watched: no connection, no timer. */
  #goIdle(): void {
    this.#opening?.abort();
    this.#opening = undefined;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#endSession();
    this.#failures = 0;
    this.#wasLive = false;
    this.#conditions.clear();
    this.#condition = { ...this.#condition, link: 'connecting', error: undefined };
  }

  #endSession(): void {
    if (this.#session === undefined) return;
    this.#lastConfirmedAt = this.#session.confirmedAt;
    this.#session.stop();
    this.#session = undefined;
    this.#keys.forgetSubscriptions();
  }

  reportClockStep(): void {
    const { clock } = this.#context.connectionSettings;
    if (this.#session !== undefined) this.#session.reportClockStep();
    else
      clock.nextTurn(() => {
        if (this.#session === undefined) this.#newGeneration({ ...this.#condition, gap: 'clock' });
      });
  }

  #newGeneration(next: Omit<Condition, 'generation'>): void {
    this.#condition = { ...next, generation: this.#context.newGeneration() };
    this.changed();
  }

  async readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    return (this.#session ?? this.#failWithoutLink()).readMany(keys, maxBytes);
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    // Not an async function, because the command has to be sent synchronously.
    if (this.#session === undefined) return Promise.resolve().then(() => this.#failWithoutLink());
    return this.#session.read(key, maxBytes);
  }

  #failWithoutLink(): never {
    throw this.#closed ? new ClosedError() : new UnavailableError('there is no link to Redis');
  }

  /**
   * The lag depends on the settings, and on the number of keys in the heartbeat's rotation; reported once a turn, however many keys come
   * and go.
   */
  #recount(): void {
    if (this.#recounting || this.#session === undefined) return;
    this.#recounting = true;
    this.#context.connectionSettings.clock.nextTurn(() => {
      this.#recounting = false;
      if (this.#session !== undefined) this.changed();
    });
  }

  confirmedAt(): number {
    return this.#session?.confirmedAt ?? this.#lastConfirmedAt;
  }

  #conditionOf({ subscribedTo: subscribedTo }: Pick<WatchedKey, 'subscribedTo'>): FeedCondition {
    const { link } = this.#condition;
    const subscribed = link !== 'live' || subscribedTo !== undefined;
    const mode = this.#session?.modes.of({ subscribedTo: subscribedTo }) ?? 'polling';
    const name = `${String(subscribed)} ${mode}`;
    let condition = this.#conditions.get(name);
    if (condition === undefined) {
      condition = createFeedCondition({
        ...this.#condition,
        link: subscribed ? link : 'connecting',
        notifications: mode,
        announcing: this.#canAnnounce,
        maxLagMs: this.#session?.modes.maxLagMs(mode, this.#keys.size) ?? 0,
      });
      this.#conditions.set(name, condition);
    }
    return condition;
  }
}
