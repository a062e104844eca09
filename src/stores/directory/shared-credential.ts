import { CredentialWriter } from '../../writing/credential-writer.js';
import { outcomeOf, type LiveWaiter, type WatchEvent } from '../../watching/event-source.js';
import type { Backend, Subscription } from '../../backend/backend.js';
import type { Encoding } from '../../credential/encoding.js';
import type { Entry } from '../../watching/entry/entry.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';
import { OpenEntry } from '../../watching/open-entry.js';
import type { PrefixWatch } from '../../watching/prefix-watch.js';

/** The entry of one credential, for all stores of a directory that use the credential at the moment. */
export class SharedCredential<T> extends OpenEntry<T> {
  /** The number of users, watching or not. */
  users = 0;
  readonly #watch: PrefixWatch<T>;
  #writer: CredentialWriter<T> | undefined;
  /** A list and not a set: most of very many credentials have one waiter. */
  #waiters: readonly LiveWaiter[] | undefined;

  constructor(id: string, watch: PrefixWatch<T>) {
    super(id);
    this.#watch = watch;
  }

  get key(): string {
    return this.entry?.key ?? this.#watch.prefix + this.id;
  }

  get subscription(): Subscription | undefined {
    return this.#watch.subscription;
  }

  get backend(): Backend {
    return this.#watch.scope.backend;
  }

  get encoding(): Encoding<T> {
    return this.#watch.scope.encoding;
  }

  get options(): SharedStoreOptions<T> {
    return this.#watch.scope.options;
  }

  get writer(): CredentialWriter<T> {
    return (this.#writer ??= new CredentialWriter(this));
  }

  /** The writer, if a store has used it. */
  get usedWriter(): CredentialWriter<T> | undefined {
    return this.#writer;
  }

  awaitLive(waiter: LiveWaiter): void {
    this.#waiters = this.#waiters === undefined ? [waiter] : [...this.#waiters, waiter];
  }

  leaveLive(waiter: LiveWaiter): void {
    this.keepWaiters((one) => one !== waiter);
  }

  /** Rejects the waiters of `view`, which is closed. */
  dismiss(view: object): void {
    const dismissed = this.#waiters?.filter((one) => one.of === view);
    if (dismissed === undefined) return;
    this.keepWaiters((one) => one.of !== view);
    for (const one of dismissed) one.settle('closed');
  }

  protected override enter(): Entry<T> {
    return this.#watch.open(this.key, this);
  }

  protected override leave(entry: Entry<T>): void {
    this.#watch.leave(entry);
  }

  protected override emit(event: WatchEvent<T>): void {
    super.emit(event);
    if (event.type !== 'status' || this.#waiters === undefined) return;
    const outcome = outcomeOf(event.status);
    if (outcome === undefined) return;
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const one of waiters) one.settle(outcome);
  }

  protected keepWaiters(stays: (waiter: LiveWaiter) => boolean): void {
    const left = this.#waiters?.filter(stays) ?? [];
    this.#waiters = left.length > 0 ? left : undefined;
  }
}
