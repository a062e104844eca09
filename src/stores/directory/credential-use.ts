import { Observable, Subject } from 'rxjs';
import { idleStatus, type StoreStatus } from '../../credential/status.js';
import { RefCounted } from '../../util/ref-counted.js';
import type { EventSource, LiveWaiter, WatchEvent } from '../../watching/event-source.js';
import type { CredentialRegistry } from './credential-registry.js';
import type { SharedCredential } from './shared-credential.js';

const closedStatus: StoreStatus = { ...idleStatus, link: 'closed' };

/** The use of a credential by one store of a directory: holds the entry while the store watches, and ends with the store alone. */
export abstract class CredentialUse<T> extends RefCounted implements EventSource<T> {
  readonly id: string;
  protected readonly registry: CredentialRegistry<T>;
  /** Set while this store watches. */
  #shared: SharedCredential<T> | undefined;
  /** Ends the streams of this store; created by the first subscriber. */
  #ending$: Subject<WatchEvent<T>> | undefined;

  constructor(id: string, registry: CredentialRegistry<T>) {
    super();
    this.id = id;
    this.registry = registry;
  }

  override get closed(): boolean {
    return super.closed || this.registry.closed;
  }

  get status(): StoreStatus {
    if (this.closed) return closedStatus;
    return this.shared?.status ?? idleStatus;
  }

  get events$(): Observable<WatchEvent<T>> {
    return new Observable((subscriber) => {
      if (this.closed) {
        subscriber.complete();
        return;
      }
      const shared = this.registry.take(this.id);
      subscriber.add(() => {
        this.registry.give(shared);
      });
      (this.#ending$ ??= new Subject()).subscribe(subscriber);
      subscriber.add(
        shared.events$.subscribe({
          next: (event) => {
            // This store is closed, and the status is that of a watch of other stores.
            if (event.type !== 'status' || !super.closed) subscriber.next(event);
          },
          complete: () => {
            subscriber.complete();
          },
        }),
      );
    });
  }

  afterEvent(run: () => void): void {
    const { shared } = this;
    if (shared === undefined) run();
    else shared.afterEvent(run);
  }

  awaitLive(waiter: LiveWaiter): void {
    const shared = this.#shared;
    if (this.closed || shared === undefined) waiter.settle(false);
    else if (shared.status.link === 'live') waiter.settle(true);
    else shared.awaitLive(waiter);
  }

  leaveLive(waiter: LiveWaiter): void {
    this.#shared?.leaveLive(waiter);
  }

  /** The entry, if any store of the directory uses the credential. */
  protected get shared(): SharedCredential<T> | undefined {
    return this.#shared ?? this.registry.get(this.id);
  }

  protected override start(): void {
    this.#shared = this.registry.take(this.id);
    this.#shared.acquire();
  }

  protected override stop(as: 'idle' | 'closed'): void {
    if (as === 'closed') {
      this.endStreams();
      this.#shared?.dismiss(this);
    }
    const shared = this.#shared;
    if (shared === undefined) return;
    this.#shared = undefined;
    shared.release();
    this.registry.give(shared);
  }

  /** Not private, because a class with private methods pays a field for them in each of very many objects. */
  protected endStreams(): void {
    const ending$ = this.#ending$;
    if (ending$ === undefined) return;
    this.#ending$ = undefined;
    const end = (): void => {
      ending$.next({ type: 'status', status: closedStatus });
      ending$.complete();
    };
    // A subscriber may close the store in the middle of an event, which the other subscribers still receive.
    const { shared } = this;
    if (shared === undefined) end();
    else shared.whenIdle(end);
  }
}
