import type {
  Observation,
  Subscriber,
  Subscription,
  SubscriptionTarget,
} from '../../backend/backend.js';
import { ClosedError, UnavailableError } from '../../errors.js';
import { inRootContext } from '../../time/async-context.js';
import { setLongTimeout } from '../../time/timers.js';
import { toObservation } from '../commands/reader.js';
import { retryPauseMs } from '../connection/retry.js';
import { isDenial, readFailure } from '../reply-errors.js';
import { FeedConditions } from './conditions.js';
import type { NotificationModes } from './notification-modes.js';
import type { FeedSessionContext } from './session-context.js';
import { FeedSession } from './session.js';
import { FeedSubscription, WatchedKeys } from './watched-keys.js';

/** After a session of this length the next failure counts as the first one. */
const GOOD_LIFE_MS = 1_000;

export interface FeedContext extends Omit<FeedSessionContext, 'keys' | 'lost' | 'gap' | 'changed'> {
  /** A number that no other generation of any feed has. */
  readonly newGeneration: () => number;
  /** The link is lost, or could not be opened. */
  readonly linkLost: () => void;
}

/** The attempts to open a session, since the first subscription. */
interface Attempts {
  /** Failures in a row. */
  readonly failures: number;
  /** Whether a session was live. */
  readonly wasLive: boolean;
}

/** An object for each stay in a state, so that a late answer can tell whether the state that asked is over. */
type FeedState =
  /** Nothing is watched: no connection, no timer. */
  | { readonly type: 'idle' | 'closed' }
  | { readonly type: 'opening'; readonly abort: AbortController; readonly attempts: Attempts }
  | {
      readonly type: 'live';
      readonly session: FeedSession;
      readonly liveSince: number;
      readonly failures: number;
    }
  | { readonly type: 'waiting'; readonly cancelRetry: () => void };

const NO_ATTEMPTS: Attempts = { failures: 0, wasLive: false };

/**
 * Keeps the hints of all watched keys arriving: while any key is watched there is a session, or one is being opened, or a timer will open
 * one. Every gap between sessions begins a new generation.
 */
export class Feed {
  readonly #context: FeedContext;
  readonly #keys = new WatchedKeys();
  readonly #conditions: FeedConditions;
  #state: FeedState = { type: 'idle' };
  #lastConfirmedAt: number;
  #recounting = false;

  constructor(context: FeedContext) {
    this.#context = context;
    const modes = (): NotificationModes | undefined => this.#session?.modes;
    this.#conditions = new FeedConditions(this.#keys, context.newGeneration, modes);
    this.#lastConfirmedAt = context.connectionSettings.clock.monotonic();
  }

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    const watched = this.#keys.at(to);
    const isNew = watched.isAbandoned;
    const subscription = new FeedSubscription(watched, subscriber, this);
    this.#keys.add(subscription);
    this.#context.connectionSettings.clock.nextTurn(() => {
      if (watched.has(subscription)) subscriber.conditionChanged(this.#conditions.of(watched));
    });
    if (this.#state.type === 'idle')
      inRootContext(() => {
        this.#open(NO_ATTEMPTS);
      });
    else if (isNew) this.#session?.subscribe(watched);
    this.#recount();
    return subscription;
  }

  /** Ends a subscription; the last one ends the session. */
  unsubscribe(subscription: FeedSubscription): void {
    if (!this.#keys.remove(subscription)) return;
    inRootContext(() => this.#session?.unsubscribe(subscription.watched));
    if (this.#keys.isEmpty) this.#end('idle');
    else this.#recount();
  }

  /** Reads a key over the subscribed connection. @throws UnavailableError, RefusedError, ClosedError */
  read(key: string, maxBytes: number): Promise<Observation> {
    // Not an async function, because the command has to be sent synchronously.
    const session = this.#session;
    return session === undefined
      ? failWithoutLink(this.#state)
      : session.reader.read(key, maxBytes);
  }

  /** As {@link Feed.read}, in one batch; `undefined` for each key that is to be read alone. */
  readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    const session = this.#session;
    return session === undefined
      ? failWithoutLink(this.#state)
      : session.reader.readMany(keys, maxBytes);
  }

  /** Reads a key over the subscribed connection; `undefined` when there is none or it cannot read. */
  async tryRead(key: string, maxBytes: number): Promise<Observation | undefined> {
    const reader = this.#session?.reader;
    if (reader?.overFeed === undefined) return undefined;
    try {
      return toObservation(
        await reader.overFeed.read({ key, maxBytes, epochKey: undefined }),
        this.#context.time,
      );
    } catch (error) {
      // The session ended with its last subscription and was not lost: the other connection can reply.
      if (this.#keys.isEmpty) return undefined;
      throw reader.failure(error);
    }
  }

  /** The monotonic instant up to which all hints are known to have arrived. */
  confirmedAt(): number {
    return this.#session?.confirmedAt ?? this.#lastConfirmedAt;
  }

  reportClockStep(): void {
    const session = this.#session;
    if (session !== undefined) {
      session.reportClockStep();
      return;
    }
    this.#context.connectionSettings.clock.nextTurn(() => {
      if (this.#session === undefined) this.#conditions.begin({ gap: 'clock' });
    });
  }

  setCanAnnounce(canAnnounce: boolean): void {
    this.#conditions.setCanAnnounce(canAnnounce);
  }

  applySettings(): void {
    this.#session?.applySettings();
    this.#recount();
  }

  close(): void {
    this.#end('closed');
  }

  get #session(): FeedSession | undefined {
    return this.#state.type === 'live' ? this.#state.session : undefined;
  }

  #open(attempts: Attempts): void {
    const opening: FeedState = { type: 'opening', abort: new AbortController(), attempts };
    this.#state = opening;
    const context: FeedSessionContext = {
      ...this.#context,
      keys: this.#keys,
      lost: (session, error) => {
        if (session === this.#session) this.#lost(error);
      },
      gap: (session, gap) => {
        if (session === this.#session)
          this.#conditions.begin({ link: 'live', gap, error: undefined });
      },
      changed: (session, some) => {
        if (session === this.#session) this.#conditions.report(some);
      },
    };
    FeedSession.open(context, opening.abort.signal).then(
      (session) => {
        if (this.#state === opening) this.#goLive(session, attempts);
        else session.stop();
      },
      (error: unknown) => {
        if (this.#state !== opening) return;
        this.#keys.forgetSubscriptions();
        this.#wait(error, attempts);
      },
    );
  }

  #goLive(session: FeedSession, { failures }: Attempts): void {
    const liveSince = this.#context.connectionSettings.clock.monotonic();
    this.#state = { type: 'live', session, liveSince, failures };
    session.start();
    this.#conditions.begin({ link: 'live', gap: 'link', error: undefined });
  }

  #lost(error: unknown): void {
    const live = this.#state;
    if (live.type !== 'live') return;
    this.#leave();
    const livedMs = this.#context.connectionSettings.clock.monotonic() - live.liveSince;
    const failures = livedMs >= GOOD_LIFE_MS ? 0 : live.failures;
    this.#wait(error, { failures, wasLive: true });
  }

  #wait(error: unknown, { failures, wasLive }: Attempts): void {
    const failure = readFailure(error);
    const denied = isDenial(failure);
    const { connectionSettings, settings } = this.#context;
    const attempts: Attempts = { failures: failures + 1, wasLive };
    const pause = retryPauseMs(attempts.failures, denied, settings().random);
    const cancelRetry = setLongTimeout(connectionSettings.clock, pause, () => {
      this.#open(attempts);
    });
    this.#state = { type: 'waiting', cancelRetry };
    const link = denied ? 'unauthorized' : wasLive ? 'reconnecting' : 'connecting';
    this.#conditions.begin({ link, gap: 'link', error: failure });
    this.#context.linkLost();
  }

  #end(as: 'idle' | 'closed'): void {
    this.#leave();
    this.#state = { type: this.#state.type === 'closed' ? 'closed' : as };
    this.#conditions.reset();
  }

  /** Ends the work of the present state. */
  #leave(): void {
    const state = this.#state;
    if (state.type === 'opening') state.abort.abort();
    else if (state.type === 'waiting') state.cancelRetry();
    else if (state.type === 'live') {
      this.#lastConfirmedAt = state.session.confirmedAt;
      state.session.stop();
      this.#keys.forgetSubscriptions();
    }
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
      if (this.#session !== undefined) this.#conditions.report();
    });
  }
}

/** @throws UnavailableError, ClosedError */
function failWithoutLink({ type }: FeedState): Promise<never> {
  return Promise.reject(
    type === 'closed' ? new ClosedError() : new UnavailableError('there is no link to Redis'),
  );
}
