import type { AttemptSwap, AttemptView } from '../../backend/attempts.js';
import type { Clock } from '../../time/clock.js';
import type {
  Backend,
  Observation,
  RemoveRequest,
  Subscriber,
  Subscription,
  SubscriptionTarget,
  WriteRequest,
} from '../../backend/backend.js';
import type { OptionSharing } from '../../util/option-sharing.js';

/** The backend as the stores of a directory see it: with a clock that has one timer for all of them. */
export class TimeSlicedBackend implements Backend {
  readonly clock: Clock;
  readonly #backend: Backend;

  constructor(backend: Backend, clock: Clock) {
    this.#backend = backend;
    this.clock = clock;
  }

  get sharing(): OptionSharing {
    return this.#backend.sharing;
  }

  get name(): string {
    return this.#backend.name;
  }

  get ownPrefix(): string {
    return this.#backend.ownPrefix;
  }

  get instance(): string {
    return this.#backend.instance;
  }

  get random(): () => number {
    return this.#backend.random;
  }

  get replyTimeoutMs(): number {
    return this.#backend.replyTimeoutMs;
  }

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    return this.#backend.subscribe(to, subscriber);
  }

  swap(request: AttemptSwap): Promise<AttemptView | 'swapped'> {
    return this.#backend.swap(request);
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#backend.read(key, maxBytes);
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#backend.keys(prefix);
  }

  write(request: WriteRequest): Promise<{ readonly announced: boolean }> {
    return this.#backend.write(request);
  }

  remove(
    request: RemoveRequest,
  ): Promise<{ readonly removed: boolean; readonly announced: boolean }> {
    return this.#backend.remove(request);
  }

  endClear(key: string, storedAt?: number): Promise<void> {
    return this.#backend.endClear(key, storedAt);
  }

  /** The directory closes the backend. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
