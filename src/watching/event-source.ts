import { Observable } from 'rxjs';
import type { AttemptHint } from '../backend/backend.js';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialState } from '../credential/state.js';
import type { StoreStatus } from '../credential/status.js';
import { isTurnedAway } from '../errors.js';
import { OrderedSubject } from '../util/ordered-subject.js';
import { RefCounted } from '../util/ref-counted.js';

/** A new state of the credential, a change, or both at once. */
export interface StateEvent<T> {
  readonly type: 'state';
  /**
   * The new state. `undefined` when the visible state stays: the credential changed while it is withheld, or the value of the credential is
   * not kept.
   */
  readonly state: CredentialState<T> | undefined;
  /** The change that led to the state. `undefined` for a state without a change: the first state, `withheld`, and the state after `withheld`. */
  readonly change: CredentialChange<T> | undefined;
  /** The server's time of the reading behind the event, in epoch milliseconds; `undefined` without a reading. */
  readonly readAt?: number | undefined;
}

/** An event of one watched credential, or of many. */
export type WatchEvent<T> =
  StateEvent<T> | { readonly type: 'status'; readonly status: StoreStatus } | AttemptHint;

/** A caller that waits for a credential to become live. */
export interface LiveWaiter {
  /** The source that becomes live, as the waiter sees it. */
  readonly of: object;
  /** Called once, as soon as {@link outcomeOf} gives an outcome. */
  settle(outcome: WaitOutcome): void;
}

/** The end of a wait: an error, when Redis turned the source away and no wait would help. */
export type WaitOutcome = 'live' | 'closed' | Error;

/** The outcome that a status is for callers that wait for a live source; `undefined` while they have to wait. */
export function outcomeOf({ link, error }: StoreStatus): WaitOutcome | undefined {
  if (link === 'live' || link === 'closed') return link;
  return isTurnedAway(error) ? error : undefined;
}

/** An emitter of events, which runs while it is retained. */
export interface EventSource<T> {
  readonly closed: boolean;
  readonly status: StoreStatus;
  /** The events in one order for all subscribers; completes on `close()`. */
  readonly events$: Observable<WatchEvent<T>>;
  /** Calls `run` when all subscribers have received the present event, before the next event; at once when there is none. */
  afterEvent(run: () => void): void;
  /** Registers a waiter in less memory than a subscription takes. The waiters of a source without this method subscribe. */
  awaitLive?(waiter: LiveWaiter): void;
  /** Removes a waiter that was registered. */
  leaveLive?(waiter: LiveWaiter): void;
  /** Starts for the first caller and stops with the last; returns the release, which may be called twice. */
  retain(): () => void;
}

/**
 * The part of an {@link EventSource} that delivers events. Most of very many sources have no subscriber: such a source has no subject
 * either. There are no private methods, because they would cost each source a field.
 */
export abstract class EventSourceBase<T> extends RefCounted implements EventSource<T> {
  #events: OrderedSubject<WatchEvent<T>> | undefined;

  abstract readonly status: StoreStatus;

  get events$(): Observable<WatchEvent<T>> {
    return new Observable((subscriber) => {
      if (this.closed && this.#events?.busy !== true) {
        subscriber.complete();
        return;
      }
      const events = (this.#events ??= new OrderedSubject());
      events.subscribe(subscriber);
      subscriber.add(() => {
        if (this.#events?.idle) this.#events = undefined;
      });
      const { current } = events;
      // Streams of changes deliver after the event: a subscriber that came because of the new state still receives the change.
      if (current?.type === 'state' && current.change !== undefined)
        subscriber.next({ ...current, state: undefined });
    });
  }

  afterEvent(run: () => void): void {
    if (this.#events === undefined) run();
    else this.#events.afterValue(run);
  }

  /** Calls `run` when all subscribers have received all events; at once when none is being delivered. */
  whenIdle(run: () => void): void {
    if (this.#events === undefined) run();
    else this.#events.whenIdle(run);
  }

  override close(): void {
    super.close();
    this.#events?.complete();
  }

  protected emit(event: WatchEvent<T>): void {
    this.#events?.emit(event);
    if (this.#events?.idle) this.#events = undefined;
  }
}
