import { Observable, type Subscriber } from 'rxjs';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type { Deadline } from '../time/deadlines.js';
import type { EventSource, WatchEvent } from '../watching/event-source.js';
import type { StoreStatus } from '../credential/status.js';
import { inSubscriberContext } from '../util/subscriber-context.js';
import type { WatchedEntry } from '../watching/watched.js';

/** The streams of one credential, for callers. */
export interface CredentialStreams<T> {
  readonly changes$: Observable<CredentialChange<T>>;
  readonly credentials$: Observable<T | undefined>;
  readonly state$: Observable<CredentialState<T>>;
  readonly status$: Observable<StoreStatus>;
}

export function credentialStreams<T>(live: WatchedEntry<T>): CredentialStreams<T> {
  return {
    changes$: inSubscriberContext(changeStream(live)),
    credentials$: inSubscriberContext(credentialsStream(live)),
    state$: inSubscriberContext(stateStream(live)),
    status$: inSubscriberContext(statusStream(live)),
  };
}

/** Derives a stream from events; with `watch`, the subscription keeps the watch alive. */
function eventStream<T, V>(
  live: EventSource<T>,
  watch: boolean,
  first: (subscriber: Subscriber<V>) => void,
  next: (event: WatchEvent<T>, subscriber: Subscriber<V>) => void,
): Observable<V> {
  return new Observable<V>((subscriber) => {
    // Retained before the first value, so that a subscriber that takes one value and leaves does not stop a watch it never started.
    const release = watch ? live.retain() : undefined;
    subscriber.add(release);
    first(subscriber);
    if (live.closed) subscriber.complete();
    if (subscriber.closed) return;
    subscriber.add(
      live.events$.subscribe({
        next: (event) => {
          next(event, subscriber);
        },
        complete: () => {
          subscriber.complete();
        },
      }),
    );
  });
}

export function changeStream<T>(live: EventSource<T>): Observable<CredentialChange<T>> {
  return eventStream(
    live,
    true,
    () => undefined,
    (event, subscriber) => {
      if (event.type !== 'state') return;
      const { change } = event;
      if (change === undefined) return;
      // No subscriber receives the change before another one receives the state that it led to.
      live.afterEvent(() => {
        subscriber.next(change);
      });
    },
  );
}

export function stateStream<T>(live: WatchedEntry<T>): Observable<CredentialState<T>> {
  return new Observable((subscriber) => {
    let emitted: CredentialState<T> | undefined;
    const emit = (state: CredentialState<T>): void => {
      // A subscriber that came while this very state was being emitted has it already.
      if (state === emitted) return;
      emitted = state;
      subscriber.next(state);
    };
    return eventStream<T, CredentialState<T>>(
      live,
      true,
      () => {
        emit(live.state);
      },
      (event) => {
        if (event.type === 'state' && event.state !== undefined) emit(event.state);
      },
    ).subscribe({
      complete: () => {
        subscriber.complete();
      },
    });
  });
}

export function statusStream<T>(live: EventSource<T>): Observable<StoreStatus> {
  return eventStream(
    live,
    false,
    (subscriber) => {
      subscriber.next(live.status);
    },
    (event, subscriber) => {
      if (event.type === 'status') subscriber.next(event.status);
    },
  );
}

export function credentialsStream<T>(live: WatchedEntry<T>): Observable<T | undefined> {
  return new Observable((subscriber) => {
    let emitted: { readonly credentials: T | undefined } | undefined;
    return stateStream(live).subscribe({
      next: (state) => {
        // An unknown credential is not an absent one: an `undefined` here would log users out at every start.
        if (state.type === 'unknown' || state.type === 'withheld') return;
        const credentials = state.type === 'present' ? state.snapshot.credentials : undefined;
        if (emitted !== undefined && emitted.credentials === credentials) return;
        emitted = { credentials };
        subscriber.next(credentials);
      },
      complete: () => {
        subscriber.complete();
      },
    });
  });
}

export function expiringStream<T>(
  live: WatchedEntry<T>,
  leadMs: number,
): Observable<CredentialSnapshot<T>> {
  return new Observable((subscriber) => {
    let deadline: Deadline | undefined;
    /** The snapshot that was emitted last. */
    let warned: CredentialSnapshot<T> | undefined;
    const consider = (state: CredentialState<T>): void => {
      deadline?.cancel();
      deadline = undefined;
      if (state.type !== 'present') {
        if (state.type !== 'withheld') warned = undefined;
        return;
      }
      const { snapshot } = state;
      const end = snapshot.expiresAt;
      if (end === undefined) return;
      const again =
        warned?.credentials === snapshot.credentials && end <= (warned.expiresAt ?? Infinity);
      if (again) return;
      deadline = live.at(end - leadMs, () => {
        // A late timer must not hand out a credential that has ended, unless `leadMs` is 0 and the caller wants the end itself.
        if (live.current !== snapshot && !(leadMs === 0 && live.holds(snapshot))) return;
        warned = snapshot;
        subscriber.next(snapshot);
      });
    };
    const states = stateStream(live).subscribe({
      next: consider,
      complete: () => {
        subscriber.complete();
      },
    });
    return () => {
      deadline?.cancel();
      states.unsubscribe();
    };
  });
}
