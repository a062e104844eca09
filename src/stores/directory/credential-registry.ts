import type { PrefixWatch } from '../../watching/prefix-watch.js';
import type { CredentialWriter } from '../../writing/credential-writer.js';
import type { SharedUse } from '../internals.js';
import { SharedCredential } from './shared-credential.js';

/** The credentials of a directory that are in use. An unused credential is forgotten. */
export class CredentialRegistry<T> implements SharedUse<T> {
  readonly watch: PrefixWatch<T>;
  readonly #shared = new Map<string, SharedCredential<T>>();
  /** The `close` of each object that is built on stores of the directory and closes before it. */
  readonly #dependents = new Set<() => Promise<void>>();
  #closed = false;

  constructor(watch: PrefixWatch<T>) {
    this.watch = watch;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The number of credentials in use. */
  get size(): number {
    return this.#shared.size;
  }

  /** The credential, if it is in use. */
  get(id: string): SharedCredential<T> | undefined {
    return this.#shared.get(id);
  }

  /** Uses a credential until {@link CredentialRegistry.give}. */
  take(id: string): SharedCredential<T> {
    let shared = this.#shared.get(id);
    if (shared === undefined) {
      shared = new SharedCredential(id, this.watch);
      if (this.#closed) shared.close();
      else this.#shared.set(id, shared);
    }
    shared.users += 1;
    return shared;
  }

  give(shared: SharedCredential<T>): void {
    shared.users -= 1;
    if (shared.users === 0 && this.#shared.get(shared.id) === shared)
      this.#shared.delete(shared.id);
  }

  /** Uses the credential for as long as the write takes. */
  async write<R>(id: string, use: (writer: CredentialWriter<T>) => Promise<R>): Promise<R> {
    const shared = this.take(id);
    try {
      return await use(shared.writer);
    } finally {
      this.give(shared);
    }
  }

  idle(id: string): Promise<void> {
    return this.get(id)?.usedWriter?.idle() ?? Promise.resolve();
  }

  closeFirst(close: () => Promise<void>): () => void {
    this.#dependents.add(close);
    return () => this.#dependents.delete(close);
  }

  get dependents(): Iterable<() => Promise<void>> {
    return this.#dependents;
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true;
    for (const shared of [...this.#shared.values()]) shared.close();
  }

  /** Resolves when no write of any credential is under way. */
  async allIdle(): Promise<void> {
    for (const { usedWriter } of [...this.#shared.values()]) await usedWriter?.idle();
  }

  /** No write is sent from now on. */
  closeWriters(): void {
    for (const { usedWriter } of this.#shared.values()) usedWriter?.close();
  }
}
