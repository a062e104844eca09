import type {
  AttemptHint,
  Backend,
  FeedCondition,
  Hint,
  Observation,
  PollResult,
  Subscriber,
  Subscription,
} from '../backend/backend.js';
import { Encoding, type EncodingScope, type ExpiresAt } from '../credential/encoding.js';
import { unknown } from '../credential/state.js';
import { ClosedError } from '../errors.js';
import { Entry } from './entry/entry.js';
import type { EntryOwner } from './entry/owner.js';
import { OpenEntry } from './open-entry.js';
import type { SharedStoreOptions } from './entry-options.js';

/** The one entry of a store with a subscription of its own: a single store is a directory of one. */
export class OwnEntry<T>
  extends OpenEntry<T>
  implements EntryOwner<T>, EncodingScope<T>, Subscriber
{
  readonly key: string;
  readonly options: SharedStoreOptions<T>;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  #subscription: Subscription | undefined;

  /** @param key - the key of the credential in the backend; `id` is its name in changes and snapshots */
  constructor(
    id: string,
    key: string,
    options: SharedStoreOptions<T>,
    backend: Backend,
    expiresAt: ExpiresAt<T> | undefined,
  ) {
    super(id);
    this.key = key;
    this.options = options;
    this.backend = backend;
    this.encoding = new Encoding(this, expiresAt);
  }

  get subscription(): Subscription | undefined {
    return this.#subscription;
  }

  get size(): number {
    return this.entry === undefined ? 0 : 1;
  }

  get maxStalenessMs(): number {
    return this.options.maxStalenessMs;
  }

  get subject(): string {
    return this.id;
  }

  get scope(): this {
    return this;
  }

  get follower(): undefined {
    return undefined;
  }

  idOf(): string {
    return this.id;
  }

  conditionAt(): FeedCondition | undefined {
    return this.condition;
  }

  read(): Promise<Observation> {
    const { subscription } = this;
    if (subscription === undefined) return Promise.reject(new ClosedError());
    return subscription.read(this.key, this.options.maxBytes);
  }

  hint(_key: string, hint: Hint | AttemptHint): void {
    // A handle that learns the condition may close, and with it the entry.
    this.entry?.reportCondition();
    this.entry?.hint(hint);
  }

  pollNext(): PollResult {
    return this.entry?.poll() === true ? 'requested' : 'none';
  }

  pollAll(): PollResult {
    return this.pollNext();
  }

  protected override start(): void {
    super.start();
    if (this.entry !== undefined) this.#subscription ??= this.backend.subscribe(this, this);
  }

  protected override enter(): Entry<T> {
    const entry = new Entry<T>(this.key, this, unknown, 0);
    entry.open(this);
    return entry;
  }

  protected override leave(entry: Entry<T>): void {
    this.#subscription?.close();
    this.#subscription = undefined;
    entry.stop();
  }
}
