import { EventEmitter } from 'eventemitter3';
import type { Subscription } from 'rxjs';
import { bindToContext } from '../time/async-context.js';
import { callSafely } from '../util/callbacks.js';
import type { CredentialEvents } from '../credential/contract.js';
import { InvalidOptionError } from '../errors.js';
import type { EventSource, WatchEvent } from '../watching/event-source.js';
import type { CallbackErrorHandler } from '../util/callbacks.js';

type Type = keyof CredentialEvents<unknown>;
type Listener = (value: never) => unknown;

interface Registration {
  readonly listener: Listener;
  readonly wrapped: (value: unknown) => void;
  readonly release: () => void;
}

const TYPES: ReadonlySet<unknown> = new Set<Type>([
  'saved',
  'renewed',
  'expired',
  'cleared',
  'evicted',
  'unreadable',
  'change',
  'state',
  'status',
]);

/** Passes events on to plain listeners. Each listener but those of `status` keeps the watch alive, and none can break the others. */
export class StoreEvents<T> {
  readonly #live: EventSource<T>;
  readonly #failed: CallbackErrorHandler;
  readonly #emitter = new EventEmitter();
  readonly #registrations = new Map<Type, Registration[]>();
  #count = 0;
  #subscription: Subscription | undefined;

  constructor(live: EventSource<T>, failed: CallbackErrorHandler) {
    this.#live = live;
    this.#failed = failed;
  }

  add(type: Type, listener: Listener, once: boolean): void {
    check(type, listener);
    if (this.#live.closed) return;
    this.#subscription ??= this.#live.events$.subscribe({
      next: (event) => {
        this.#emit(event);
      },
      // `close()` itself removes no listener: events that wait when a listener closes the store are still delivered.
      complete: () => {
        this.#clear();
      },
    });
    const bound = bindToContext(listener);
    const registration: Registration = {
      listener,
      wrapped: (value) => {
        if (once) this.#drop(type, registration);
        callSafely(bound, [value as never], (error) => {
          this.#failed(error, `listener of '${type}'`);
        });
      },
      release: type === 'status' ? () => undefined : this.#live.retain(),
    };
    this.#count += 1;
    this.#emitter.on(type, registration.wrapped);
    this.#registrations.set(type, [...(this.#registrations.get(type) ?? []), registration]);
  }

  remove(type: Type, listener: Listener): void {
    check(type, listener);
    const found = this.#registrations.get(type)?.findLast((one) => one.listener === listener);
    if (found !== undefined) this.#drop(type, found);
  }

  #clear(): void {
    this.#emitter.removeAllListeners();
    this.#registrations.clear();
    this.#count = 0;
  }

  #drop(type: Type, registration: Registration): void {
    const registered = this.#registrations.get(type) ?? [];
    // An emission under way still calls a listener that was removed during it.
    if (!registered.includes(registration)) return;
    this.#registrations.set(
      type,
      registered.filter((one) => one !== registration),
    );
    this.#emitter.off(type, registration.wrapped);
    registration.release();
    this.#count -= 1;
    if (this.#count > 0) return;
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  #emit(event: WatchEvent<T>): void {
    switch (event.type) {
      case 'state': {
        const { state, change } = event;
        if (state !== undefined) this.#emitter.emit('state', state);
        if (change !== undefined)
          // As in the streams, the state goes out before the change that led to it.
          this.#live.afterEvent(() => {
            this.#emitter.emit(change.type, change);
            this.#emitter.emit('change', change);
          });
        break;
      }
      case 'status':
        this.#emitter.emit('status', event.status);
        break;
      case 'attempt':
        break;
    }
  }
}

function check(type: unknown, listener: unknown): void {
  if (!TYPES.has(type))
    throw new InvalidOptionError('type', 'is not an event of a credential store');
  if (typeof listener !== 'function')
    throw new InvalidOptionError('listener', 'must be a function');
}
