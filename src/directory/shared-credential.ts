import type { CredentialBackend } from '../credential-backend.js';
import { CredentialWriter } from '../credential-writer.js';
import type { Encoding } from '../encoding.js';
import type { Fact } from '../fact-teller.js';
import { LiveCredential } from '../live-credential.js';
import type { SharedStoreOptions } from '../store-options.js';

/** What all credentials of a directory have together. */
export interface DirectoryContext<T> {
  readonly backend: CredentialBackend;
  readonly options: SharedStoreOptions<T>;
  readonly encoding: Encoding<T>;
  /** Told of everything that happens to any credential that is watched, before those who watch it. */
  told(shared: SharedCredential<T>, fact: Fact<T>): void;
}

/** One credential of a directory, for all stores that use it at the moment. */
export class SharedCredential<T> extends LiveCredential<T> {
  /** How many use it, be it without watching. */
  users = 0;
  readonly #context: DirectoryContext<T>;
  #writer: CredentialWriter<T> | undefined;

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

  protected override tell(fact: Fact<T>): void {
    this.#context.told(this, fact);
    super.tell(fact);
  }
}
