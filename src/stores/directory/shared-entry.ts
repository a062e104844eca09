import { CredentialWriter } from '../../writing/credential-writer.js';
import type { LiveWaiter, WatchEvent } from '../../watching/event-source.js';
import type { Backend } from '../../backend/backend.js';
import type { Encoding } from '../../credential/encoding.js';
import type { Entry } from '../../watching/entry.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';
import { OpenEntry } from '../../watching/open-entry.js';
import type { PrefixWatch } from '../../watching/prefix-watch.js';

/** One credential of a directory, for all stores that use it at the moment. */
export class SharedCredential<T> extends OpenEntry<T> {
  /** How many use it, be it without watching. */
  users = 0;
  readonly #watch: PrefixWatch<T>;
  #writer: CredentialWriter<T> | undefined;
  /** A list and not a set: mostly there is one, of very many credentials. */
  #waiting: readonly LiveWaiter[] | undefined;

  constructor(id: string, watch: PrefixWatch<T>) {
    super(id);
    this.#watch = watch;
  }

  get key(): string {
    return this.entry?.key ?? this.#watch.keyOf(this.id);
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

  /** The writer, if there has been a use for it. */
  get usedWriter(): CredentialWriter<T> | undefined {
    return this.#writer;
  }

  awaitLive(waiter: LiveWaiter): void {
    this.#waiting = this.#waiting === undefined ? [waiter] : [...this.#waiting, waiter];
  }

  leaveLive(waiter: LiveWaiter): void {
    this.keepWaiting((one) => one !== waiter);
  }

  /** Tells those who wait for what `view` sees that it is closed. */
  dismiss(view: object): void {
    const dismissed = this.#waiting?.filter((one) => one.of === view);
    if (dismissed === undefined) return;
    this.keepWaiting((one) => one.of !== view);
    for (const one of dismissed) one.settle(false);
  }

  protected override enter(): Entry<T> {
    return this.#watch.open(this.key, this);
  }

  protected override leave(entry: Entry<T>): void {
    this.#watch.leave(entry);
  }

  protected override emit(event: WatchEvent<T>): void {
    super.emit(event);
    if (event.type !== 'status' || this.#waiting === undefined) return;
    const { link } = event.status;
    if (link !== 'live' && link !== 'closed') return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const one of waiting) one.settle(link === 'live');
  }

  protected keepWaiting(stays: (waiter: LiveWaiter) => boolean): void {
    const left = this.#waiting?.filter(stays) ?? [];
    this.#waiting = left.length > 0 ? left : undefined;
  }
}
