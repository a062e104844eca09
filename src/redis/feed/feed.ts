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
import { CommandPolls } from './command-polls.js';
import { FeedConditions } from './conditions.js';
import { createKnownEpoch } from './missed/data-epoch.js';
import type { FeedSessionContext } from './session-context.js';
import { FeedSession } from './session.js';
import { WatchedKeys, type FeedSubscription, type WatchedKey } from './watched-keys.js';

/** After a session of this length the next failure counts as the first one. */
const GOOD_LIFE_MS = 1_000;
/** Two losses within this time mean that the subscribed connection cannot stay up; a connection that lasts longer can. */
const TRIAL_MS = 5_000;

export interface FeedContext extends Omit<
  FeedSessionContext,
  'keys' | 'lost' | 'gap' | 'changed' | 'epoch'
> {
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
      /** `trial`: the session may be lost soon, as those before; keys are read by {@link CommandPolls}. */
      readonly type: 'live' | 'trial';
      readonly session: FeedSession;
      readonly openedAt: number;
      readonly failures: number;
      readonly cancelTrial?: () => void;
    }
  | { readonly type: 'waiting'; readonly cancelRetry: () => void };

const NO_ATTEMPTS: Attempts = { failures: 0, wasLive: false };

/**
 * Keeps the hints of all watched keys arriving: while any key is watched there is a session, or one is being opened, or a timer will open
 * one. Every gap between sessions begins a new generation.
 */
export class Feed {
  readonly #context: FeedContext;
  readonly #keys: WatchedKeys = new WatchedKeys(this);
  readonly #conditions: FeedConditions;
  readonly #epoch = createKnownEpoch();
  #state: FeedState = { type: 'idle' };
  #lastConfirmedAt: number;
  #lostAt = -Infinity;
  /** Runs from the second loss within a short time to the end of a trial, or to its own failure. */
  #polls: CommandPolls | undefined;
  #recounting = false;

  constructor(context: FeedContext) {
    this.#context = context;
    this.#lastConfirmedAt = context.connectionSettings.clock.monotonic();
    this.#conditions = new FeedConditions(this.#keys, {
      ...context,
      modes: () => liveIn(this.#state)?.modes,
      scriptsRefused: () => liveIn(this.#state)?.reader.scriptsRefused,
      confirmedAt: () => this.confirmedAt(),
      polls: () => this.#polls !== undefined,
      skewMs: () => context.time.skewMs,
    });
  }

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    const subscription = this.#keys.add(to, subscriber);
    const { watched } = subscription;
    this.#context.connectionSettings.clock.nextTurn(() => {
      subscription.subscriber?.conditionChanged(this.#conditions.of(watched));
    });
    if (this.#state.type === 'idle')
      inRootContext(() => {
        this.#open(NO_ATTEMPTS);
      });
    else if (subscription === watched) runningIn(this.#state)?.subscribe(watched);
    this.#recount();
    return subscription;
  }

  /** Ends a subscription; the last one ends the session. */
  unsubscribe(subscription: FeedSubscription): void {
    if (!this.#keys.remove(subscription)) return;
    inRootContext(() => runningIn(this.#state)?.unsubscribe(subscription.watched));
    if (this.#keys.isEmpty) this.#end('idle');
    else this.#recount();
  }

  /** Reads a key over the subscribed connection. @throws UnavailableError, RefusedError, ClosedError */
  read(key: string, maxBytes: number): Promise<Observation> {
    // Not an async function, because the command has to be sent synchronously.
    const reader = liveIn(this.#state)?.reader ?? this.#polls;
    return reader === undefined ? failWithoutLink(this.#state) : reader.read(key, maxBytes);
  }

  /** As {@link Feed.read}, in one batch; `undefined` for each key that is to be read alone. */
  readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    if (this.#polls !== undefined) return Promise.resolve([]);
    const session = liveIn(this.#state);
    return session === undefined
      ? failWithoutLink(this.#state)
      : session.reader.readMany(keys, maxBytes);
  }

  /** Reads a key in the present session; `undefined` when there is none. */
  async tryRead(key: string, maxBytes: number): Promise<Observation | undefined> {
    const reader = liveIn(this.#state)?.reader;
    if (reader === undefined) return undefined;
    try {
      return toObservation(
        await reader.readRaw({ key, maxBytes, epochKey: undefined }),
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
    return (liveIn(this.#state) ?? this.#polls)?.confirmedAt ?? this.#lastConfirmedAt;
  }

  reportClockStep(): void {
    const session = liveIn(this.#state);
    if (session !== undefined) {
      session.reportClockStep();
      return;
    }
    this.#context.connectionSettings.clock.nextTurn(() => {
      if (liveIn(this.#state) === undefined) this.#conditions.begin({ gap: 'clock' });
    });
  }

  /** Reports that a reading found a change of a watched key without any hint. */
  reportMissedHint(watched: WatchedKey): void {
    liveIn(this.#state)?.reportMissedHint(watched);
  }

  setCanAnnounce(canAnnounce: boolean): void {
    this.#conditions.setCanAnnounce(canAnnounce);
  }

  applySettings(): void {
    runningIn(this.#state)?.applySettings();
    this.#polls?.applySettings();
    this.#recount();
  }

  close(): void {
    this.#end('closed');
  }

  #open(attempts: Attempts): void {
    const opening: FeedState = { type: 'opening', abort: new AbortController(), attempts };
    this.#state = opening;
    const context: FeedSessionContext = {
      ...this.#context,
      keys: this.#keys,
      epoch: this.#epoch,
      lost: (session, error) => {
        if (session === runningIn(this.#state)) this.#lost(error);
      },
      gap: (session, gap) => {
        if (session === liveIn(this.#state))
          this.#conditions.begin({ link: 'live', gap, error: undefined });
      },
      changed: (session, some) => {
        if (session === liveIn(this.#state)) this.#conditions.report(some);
      },
    };
    FeedSession.open(context, opening.abort.signal).then(
      (session) => {
        if (this.#state === opening) this.#opened(session, attempts);
        else session.stop();
      },
      (error: unknown) => {
        if (this.#state !== opening) return;
        this.#keys.forgetSubscriptions();
        this.#wait(error, attempts);
      },
    );
  }

  #opened(session: FeedSession, { failures }: Attempts): void {
    const { clock } = this.#context.connectionSettings;
    const opened = { session, openedAt: clock.monotonic(), failures };
    const goLive = (): void => {
      this.#state = { type: 'live', ...opened };
      this.#stopPolls();
      this.#conditions.begin({ link: 'live', gap: 'link', error: undefined });
    };
    if (this.#polls === undefined) goLive();
    else {
      const cancelTrial = setLongTimeout(clock, TRIAL_MS, goLive);
      this.#state = { type: 'trial', ...opened, cancelTrial };
    }
    session.start();
  }

  #lost(error: unknown): void {
    const lost = this.#state;
    if (!('session' in lost)) return;
    this.#leave();
    const now = this.#context.connectionSettings.clock.monotonic();
    const failures = now - lost.openedAt >= GOOD_LIFE_MS ? 0 : lost.failures;
    const isFlapping = now - this.#lostAt < TRIAL_MS;
    this.#lostAt = now;
    this.#wait(error, { failures, wasLive: true });
    if (isFlapping && !isDenial(readFailure(error))) this.#startPolls();
  }

  #startPolls(): void {
    if (this.#polls !== undefined) return;
    const polls = new CommandPolls(this.#context, this.#keys, this.#lastConfirmedAt, (error) => {
      if (this.#polls !== polls) return;
      this.#stopPolls();
      // The session on trial is gone too, or soon will be.
      if (this.#state.type !== 'idle' && this.#state.type !== 'closed')
        this.#conditions.begin({ link: 'reconnecting', gap: 'link', error: readFailure(error) });
    });
    this.#polls = polls;
    polls.applySettings();
    this.#conditions.begin({ link: 'live', gap: 'link', error: undefined });
  }

  #stopPolls(): void {
    const polls = this.#polls;
    if (polls === undefined) return;
    this.#lastConfirmedAt = Math.max(this.#lastConfirmedAt, polls.confirmedAt);
    this.#polls = undefined;
    polls.stop();
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
    this.#context.linkLost();
    if (this.#polls !== undefined && !denied) return;
    this.#stopPolls();
    const link = denied ? 'unauthorized' : wasLive ? 'reconnecting' : 'connecting';
    this.#conditions.begin({ link, gap: 'link', error: failure });
  }

  #end(as: 'idle' | 'closed'): void {
    this.#leave();
    this.#stopPolls();
    this.#lostAt = -Infinity;
    this.#state = { type: this.#state.type === 'closed' ? 'closed' : as };
    this.#conditions.reset();
  }

  /** Ends the work of the present state. */
  #leave(): void {
    const state = this.#state;
    if (state.type === 'opening') state.abort.abort();
    else if (state.type === 'waiting') state.cancelRetry();
    else if ('session' in state) {
      state.cancelTrial?.();
      if (state.type === 'live') this.#lastConfirmedAt = state.session.confirmedAt;
      state.session.stop();
      this.#keys.forgetSubscriptions();
    }
  }

  /**
   * The lag depends on the settings, and on the number of keys in the heartbeat's rotation; reported once a turn, however many keys come
   * and go.
   */
  #recount(): void {
    if (this.#recounting || liveIn(this.#state) === undefined) return;
    this.#recounting = true;
    this.#context.connectionSettings.clock.nextTurn(() => {
      this.#recounting = false;
      if (liveIn(this.#state) !== undefined) this.#conditions.report();
    });
  }
}

/** @throws UnavailableError, ClosedError */
function failWithoutLink({ type }: FeedState): Promise<never> {
  return Promise.reject(
    type === 'closed' ? new ClosedError() : new UnavailableError('there is no link to Redis'),
  );
}

/** The session by which keys are read. */
function liveIn(state: FeedState): FeedSession | undefined {
  return state.type === 'live' ? state.session : undefined;
}

function runningIn(state: FeedState): FeedSession | undefined {
  return 'session' in state ? state.session : undefined;
}
