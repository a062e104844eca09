import type { Clock } from '../time/clock.js';
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
import { Entry, type EntryOwner } from './entry.js';
import type { OpenEntry, Watch } from './open-entry.js';
import type { SharedStoreOptions } from './entry-options.js';

/** A subscription to one key: the store of a single credential is a directory of one. */
export class KeyWatch<T> implements Watch<T>, EntryOwner<T>, KeyWatcher {
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
  readonly follower = undefined;
  readonly #key: string;
  #handles: OpenEntry<T> | undefined;
  #entry: Entry<T> | undefined;
  #condition: FeedCondition | undefined;

  /** @param key - where the credential lies in the backend */
  constructor(
    key: string,
    options: SharedStoreOptions<T>,
    backend: Backend,
    encoding: Encoding<T>,
  ) {
    this.#key = key;
    this.options = options;
    this.backend = backend;
    this.encoding = encoding;
  }

  get clock(): Clock {
    return this.backend.clock;
  }

  keyOf(): string {
    return this.#key;
  }

  idOf(): string {
    return this.#handles?.id ?? '';
  }

  open(handles: OpenEntry<T>): Entry<T> {
    const entry = new Entry<T>(this.#key, this, unknown, 0);
    entry.open(handles);
    this.#handles = handles;
    this.#entry = entry;
    return entry;
  }

  begin(): void {
    this.backend.hints.watch(this.#key, this);
  }

  leave(): void {
    this.backend.hints.unwatch(this.#key, this);
    this.#entry?.stop();
    this.#entry = undefined;
    this.#handles = undefined;
    this.#condition = undefined;
  }

  conditionAt(): FeedCondition | undefined {
    return this.#condition;
  }

  confirmedAt(): number {
    return this.backend.hints.confirmedAt(this.#key);
  }

  reportClockStep(): void {
    this.backend.hints.reportClockStep();
  }

  read(): Promise<Observation> {
    return this.backend.hints.read(this.#key, this.options.maxBytes);
  }

  hint(hint: Hint | AttemptHint): void {
    this.#entry?.hint(hint);
  }

  conditionChanged(condition: FeedCondition): void {
    this.#condition = condition;
    this.#handles?.conditionChanged(condition);
  }

  poll(): boolean {
    return this.#entry?.poll() ?? false;
  }
}
