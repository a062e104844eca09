import type { Withdrawal } from '../../credential/withdrawal.js';
import { Observable, Subject } from 'rxjs';
import type { Backend, Hint } from '../../backend/backend.js';
import type { CredentialSnapshot } from '../../credential/snapshot.js';
import { unknown, type CredentialState, type Known } from '../../credential/state.js';
import type { CredentialWriter } from '../../writing/credential-writer.js';
import type { Deadline } from '../../time/deadlines.js';
import type { Encoding } from '../../credential/encoding.js';
import type { LiveWaiter, WatchEvent } from '../../watching/event-source.js';
import { RefCounted } from '../../util/ref-counted.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';
import type { SharedUse } from '../store-internals.js';
import { idleStatus, type StoreStatus } from '../../credential/status.js';
import type { WatchedEntry } from '../../watching/watched.js';
import { ObservableCredentialStore } from '../store-base.js';
import type { CredentialRegistry } from './credential-registry.js';
import type { SharedCredential } from './shared-credential.js';

const closedStatus: StoreStatus = { ...idleStatus, link: 'closed' };

/** The entry of a credential as one of its stores sees it: all of the entry, but `close()` ends only the use by this store. */
class CredentialView<T> extends RefCounted implements WatchedEntry<T>, SharedUse<T> {
  readonly id: string;
  readonly #registry: CredentialRegistry<T>;
  /** Set while this store watches. */
  #shared: SharedCredential<T> | undefined;
  /** Ends the streams of this store; created by the first subscriber. */
  #ending$: Subject<WatchEvent<T>> | undefined;

  constructor(id: string, registry: CredentialRegistry<T>) {
    super();
    this.id = id;
    this.#registry = registry;
  }

  override get closed(): boolean {
    return super.closed || this.#registry.closed;
  }

  get key(): string {
    return this.#registry.watch.keyOf(this.id);
  }

  get backend(): Backend {
    return this.#registry.watch.scope.backend;
  }

  get encoding(): Encoding<T> {
    return this.#registry.watch.scope.encoding;
  }

  get options(): SharedStoreOptions<T> {
    return this.#registry.watch.scope.options;
  }

  get status(): StoreStatus {
    if (this.closed) return closedStatus;
    return this.#any?.status ?? idleStatus;
  }

  get state(): CredentialState<T> {
    return this.closed ? unknown.state : (this.#any?.state ?? unknown.state);
  }

  get known(): Known<T> {
    return this.closed ? unknown : (this.#any?.known ?? unknown);
  }

  get current(): CredentialSnapshot<T> | undefined {
    return this.closed ? undefined : this.#any?.current;
  }

  get events$(): Observable<WatchEvent<T>> {
    return new Observable((subscriber) => {
      if (this.closed) {
        subscriber.complete();
        return;
      }
      const shared = this.#registry.take(this.id);
      subscriber.add(() => {
        this.#registry.give(shared);
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
    const shared = this.#any;
    if (shared === undefined) run();
    else shared.afterEvent(run);
  }

  get ownWrites(): number {
    return this.#any?.ownWrites ?? 0;
  }

  set ownWrites(count: number) {
    const shared = this.#any;
    if (shared !== undefined) shared.ownWrites = count;
  }

  refreshed(own?: Hint): Promise<void> {
    return this.#any?.refreshed(own) ?? Promise.resolve();
  }

  at(instant: number, due: () => void): Deadline | undefined {
    return this.#any?.at(instant, due);
  }

  serverNow(): number {
    return this.#any?.serverNow() ?? this.backend.clock.now();
  }

  holds(snapshot: CredentialSnapshot<T>): boolean {
    return !this.closed && this.#any?.holds(snapshot) === true;
  }

  withdrawalOf(name: string): Withdrawal | undefined {
    return this.#any?.withdrawalOf(name);
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

  write<R>(use: (writer: CredentialWriter<T>) => Promise<R>): Promise<R> {
    return this.#registry.using(this.id, (shared) => use(shared.writer));
  }

  idle(): Promise<void> {
    return this.#any?.usedWriter?.idle() ?? Promise.resolve();
  }

  closeFirst(close: () => Promise<void>): () => void {
    return this.#registry.closeFirst(close);
  }

  protected override start(): void {
    this.#shared = this.#registry.take(this.id);
    this.#shared.acquire();
  }

  protected override stop(as: 'idle' | 'closed'): void {
    if (as === 'closed') {
      this.#end();
      this.#shared?.dismiss(this);
    }
    const shared = this.#shared;
    if (shared === undefined) return;
    this.#shared = undefined;
    shared.release();
    this.#registry.give(shared);
  }

  #end(): void {
    const ending$ = this.#ending$;
    if (ending$ === undefined) return;
    this.#ending$ = undefined;
    const end = (): void => {
      ending$.next({ type: 'status', status: closedStatus });
      ending$.complete();
    };
    // A subscriber may close the store in the middle of an event, which the other subscribers still receive.
    const shared = this.#any;
    if (shared === undefined) end();
    else shared.whenIdle(end);
  }

  get #any(): SharedCredential<T> | undefined {
    return this.#shared ?? this.#registry.get(this.id);
  }
}

/** A light store of one credential of a directory. */
export class StoreHandle<T> extends ObservableCredentialStore<T> {
  constructor(id: string, registry: CredentialRegistry<T>) {
    const view = new CredentialView(id, registry);
    super(view, view);
  }
}
