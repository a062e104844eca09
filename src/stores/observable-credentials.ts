import type { Observable } from 'rxjs';
import { ChangeIterator } from './change-iterator.js';
import { closeInOrder, type ClosingSteps } from './closing-steps.js';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialEvents } from '../credential/contract.js';
import type { StoreEvents } from './events.js';
import { closeOnce } from '../util/close-once.js';

/**
 * Credentials whose changes can be observed: the one of a store, or all of a directory.
 *
 * @typeParam Type - the events that a listener can be registered for
 * @public
 */
export abstract class ObservableCredentials<
  T,
  Type extends keyof CredentialEvents<T>,
> implements AsyncDisposable {
  /** Changes from now on. Hot: a late subscriber gets no past ones. Never errors, completes on `close()`. */
  abstract readonly changes$: Observable<CredentialChange<T>>;

  /** Created by the first listener: most of thousands of stores have none. */
  #events: StoreEvents<T> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Calls `listener` on every event of a type, and keeps watching until `off`. An error that the listener throws or rejects with goes to
   * `onCallbackError`.
   *
   * @throws InvalidOptionError for an unknown type, or a listener that is no function
   */
  on<Name extends Type>(type: Name, listener: CredentialEvents<T>[Name]): this {
    (this.#events ??= this.createEvents()).add(type, listener, false);
    return this;
  }

  /** Like `on`, for one event. */
  once<Name extends Type>(type: Name, listener: CredentialEvents<T>[Name]): this {
    (this.#events ??= this.createEvents()).add(type, listener, true);
    return this;
  }

  /** Removes a listener; does nothing for an unknown one. */
  off<Name extends Type>(type: Name, listener: CredentialEvents<T>[Name]): this {
    (this.#events ??= this.createEvents()).remove(type, listener);
    return this;
  }

  /**
   * Iterates over changes from now on; ends on `close()`. A slow consumer's buffer is bounded: past 1,024 changes the oldest of one credential
   * are merged, so that the latest is never lost.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<CredentialChange<T>> {
    return new ChangeIterator(this.changes$);
  }

  /**
   * Closes the reauthenticators and derived values that were built on this object, ends every stream, lets writes under way finish within
   * `closeTimeoutMs`, and releases every connection and timer. The caller's client stays open. Idempotent, never rejects.
   */
  close(): Promise<void> {
    return (
      this.#closing ??
      closeOnce(
        () => closeInOrder(this.closingSteps()),
        (closing) => {
          this.#closing = closing;
        },
      )
    );
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  protected get closing(): boolean {
    return this.#closing !== undefined;
  }

  /** @internal */
  protected abstract createEvents(): StoreEvents<T>;

  /** @internal */
  protected abstract closingSteps(): ClosingSteps;
}
