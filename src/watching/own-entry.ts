import type {
  AttemptHint,
  Backend,
  FeedCondition,
  Hint,
  KeyWatcher,
  Observation,
} from '../backend/backend.js';
import type { Encoding } from '../credential/encoding.js';
import { unknown } from '../credential/state.js';
import { Entry } from './entry/entry.js';
import type { EntryOwner } from './entry/owner.js';
import { OpenEntry } from './open-entry.js';
import type { SharedStoreOptions } from './entry-options.js';

/** The one entry of a store with a subscription of its own: a single store is a directory of one. */
export class OwnEntry<T> extends OpenEntry<T> implements EntryOwner<T>, KeyWatcher {
  readonly key: string;
  readonly options: SharedStoreOptions<T>;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;

  /** @param key - the key of the credential in the backend; `id` is its name in changes and snapshots */
  constructor(
    id: string,
    key: string,
    options: SharedStoreOptions<T>,
    backend: Backend,
    encoding: Encoding<T>,
  ) {
    super(id);
    this.key = key;
    this.options = options;
    this.backend = backend;
    this.encoding = encoding;
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
    return this.backend.hints.read(this.key, this.options.maxBytes);
  }

  hint(hint: Hint | AttemptHint): void {
    // A handle that learns the condition may close, and with it the entry.
    this.entry?.reportCondition();
    this.entry?.hint(hint);
  }

  poll(): boolean {
    return this.entry?.poll() ?? false;
  }

  protected override start(): void {
    super.start();
    if (this.entry !== undefined) this.backend.hints.watch(this.key, this);
  }

  protected override enter(): Entry<T> {
    const entry = new Entry<T>(this.key, this, unknown, 0);
    entry.open(this);
    return entry;
  }

  protected override leave(entry: Entry<T>): void {
    this.backend.hints.unwatch(this.key, this);
    entry.stop();
  }
}
