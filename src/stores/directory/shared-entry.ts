import type { Backend } from '../../backend/backend.js';
import { CredentialWriter } from '../../writing/credential-writer.js';
import type { Encoding } from '../../credential/encoding.js';
import type { LiveWaiter, WatchEvent } from '../../watching/event-source.js';
import { Entry } from '../../watching/entry.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';

/** What all credentials of a directory have together. */
export interface DirectoryContext<T> {
  readonly backend: Backend;
  readonly options: SharedStoreOptions<T>;
  readonly encoding: Encoding<T>;
  /** Told of everything that happens to any credential that is watched, before those who watch it. */
  told(shared: SharedCredential<T>, event: WatchEvent<T>): void;
}

/** One credential of a directory, for all stores that use it at the moment. */
export class SharedCredential<T> extends Entry<T> {
  /** How many use it, be it without watching. */
  users = 0;
  readonly #context: DirectoryContext<T>;
  #writer: CredentialWriter<T> | undefined;
  /** A list and not a set: mostly there is one, of very many credentials. */
  #waiting: readonly LiveWaiter[] | undefined;

  constructor(id: string, key: string, context: DirectoryContext<T>) {
    const { backend, options, encoding } = context;
    super(id, key, options, backend, encoding);
    this.#context = context;
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
    this.#wait((one) => one !== waiter);
  }

  /** Tells those who wait for what `view` sees that it is closed. */
  dismiss(view: object): void {
    const dismissed = this.#waiting?.filter((one) => one.of === view);
    if (dismissed === undefined) return;
    this.#wait((one) => one.of !== view);
    for (const one of dismissed) one.settle(false);
  }

  protected override emit(event: WatchEvent<T>): void {
    this.#context.told(this, event);
    super.emit(event);
    if (event.type !== 'status' || this.#waiting === undefined) return;
    const { link } = event.status;
    if (link !== 'live' && link !== 'closed') return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const one of waiting) one.settle(link === 'live');
  }

  #wait(stays: (waiter: LiveWaiter) => boolean): void {
    const left = this.#waiting?.filter(stays) ?? [];
    this.#waiting = left.length > 0 ? left : undefined;
  }
}
