import { randomUUID } from 'node:crypto';
import type { AttemptSwap, AttemptView } from '../backend/attempts.js';
import type { ChangeOrigin } from '../credential/origin.js';
import type { Clock } from '../time/clock.js';
import type {
  Backend,
  Expected,
  Observation,
  RemoveRequest,
  ReplicaAck,
  Subscriber,
  Subscription,
  SubscriptionTarget,
  WriteRequest,
  Written,
} from '../backend/backend.js';
import { digest } from '../credential/encoding.js';
import { ClosedError, ConflictError, OutcomeUnknownError, UnavailableError } from '../errors.js';
import type { OptionSharing } from '../util/option-sharing.js';
import { endClear, OWN_PREFIX, storeTombstone, swapAttempt } from './attempt-swap.js';
import type { CredentialMemory } from './credential-memory.js';
import { MemoryFeed } from './feed.js';
import { MemorySubscription, type SubscribedBackend } from './subscription.js';

/** Keys per page. */
const PAGE = 1_000;
const NO_REPLICAS: ReplicaAck = { replicas: 0, replicasError: undefined };

/**
 * Connects one store to a {@link CredentialMemory} the way a network would: a request takes a turn of the event loop, its reply takes
 * another, bytes are copied both ways, and hints travel apart from the data.
 */
export class MemoryBackend implements Backend, SubscribedBackend {
  readonly name: string;
  readonly joinedAt: number;
  readonly replyTimeoutMs = 0;
  readonly ownPrefix: string = OWN_PREFIX;
  readonly #memory: CredentialMemory;
  readonly feed: MemoryFeed;
  /** Created by the first write, because most stores only watch. */
  #instance: string | undefined;
  #closed = false;

  constructor(memory: CredentialMemory, name: string) {
    this.#memory = memory;
    this.name = name;
    this.feed = memory.connection((one) => new MemoryFeed(one));
    this.joinedAt = this.feed.generation;
  }

  get instance(): string {
    return (this.#instance ??= randomUUID());
  }

  get clock(): Clock {
    return this.#memory.clock;
  }

  get random(): () => number {
    return this.#memory.random;
  }

  get sharing(): OptionSharing {
    return this.feed.sharing;
  }

  isInstance(id: string): boolean {
    return this.#instance === id;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    const sentAt = this.clock.monotonic();
    return this.#request(() => this.#read(key, maxBytes, sentAt), disconnected());
  }

  readMany(keys: readonly string[], maxBytes: number): Promise<readonly Observation[]> {
    const sentAt = this.clock.monotonic();
    return this.#request(() => {
      const answers = keys.map((key) => this.#read(key, maxBytes, sentAt));
      return () => answers.map((answer) => answer());
    }, disconnected());
  }

  async *keys(prefix: string): AsyncIterable<readonly string[]> {
    const keys = await this.#request(() => {
      const found = this.#memory.keys(prefix);
      return () => found;
    }, disconnected());
    for (let from = 0; from < keys.length; from += PAGE) {
      const page = keys.slice(from, from + PAGE);
      yield await this.#request(() => {
        const left = page.filter((key) => this.#memory.peek(key) !== undefined);
        return () => left;
      }, disconnected());
    }
  }

  write({ key, bytes, ttl, expected, reason, wanted }: WriteRequest): Promise<Written> {
    return this.#request(() => {
      if (!this.#matches(key, expected)) return conflict;
      const before = this.#memory.peek(key);
      const expiresAt =
        ttl === 'keep' ? before?.expiresAt : ttl === 'none' ? undefined : this.#memory.now() + ttl;
      this.#memory.put(key, Buffer.from(bytes), expiresAt);
      endClear(this.#memory, key);
      this.#memory.emit(key, { type: 'written', origin: this.#origin, reason });
      return () => ({
        announced: true,
        ...(wanted && { replicated: Promise.resolve(NO_REPLICAS) }),
      });
    });
  }

  remove({
    key,
    expected,
    reason,
  }: RemoveRequest): Promise<{ removed: boolean; announced: boolean }> {
    return this.#request(() => {
      if (!this.#matches(key, expected)) return conflict;
      const removed = this.#memory.drop(key);
      storeTombstone(this.#memory, key);
      if (removed) {
        this.#memory.emit(key, {
          type: 'removed',
          as: 'cleared',
          origin: this.#origin,
          reason,
        });
      }
      return () => ({ removed, announced: true });
    });
  }

  swap(request: AttemptSwap): Promise<AttemptView | 'swapped'> {
    const lost = request.change === undefined ? disconnected() : undefined;
    return this.#request(() => {
      const reply = swapAttempt(this.#memory, request, this.#origin);
      return () => reply;
    }, lost);
  }

  async endClear(key: string, storedAt?: number): Promise<void> {
    await this.#request(() => {
      endClear(this.#memory, key, storedAt);
      return () => undefined;
    }).catch(() => undefined);
  }

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    const [name, isPrefix] = 'key' in to ? [to.key, false] : [to.prefix, true];
    const subscription = new MemorySubscription(name, isPrefix, subscriber, this);
    this.feed.subscribe(subscription);
    return subscription;
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  get #origin(): ChangeOrigin {
    const { instance, name } = this;
    return { instance, name };
  }

  /** Captures the content of a key now, as a reply that arrives later. */
  #read(key: string, maxBytes: number, sentAt: number): () => Observation {
    const entry = this.#memory.peek(key);
    const serverNow = this.#memory.now();
    const tooLarge = entry !== undefined && entry.bytes.length > maxBytes;
    const bytes = entry && Buffer.from(entry.bytes);
    return () => ({
      content: tooLarge
        ? { type: 'foreign', reason: 'too-large' }
        : bytes === undefined
          ? { type: 'absent' }
          : { type: 'bytes', bytes },
      expiresAt: entry?.expiresAt,
      toleranceMs: 0,
      serverNow,
      time: this.feed.sample(serverNow, sentAt),
    });
  }

  #matches(key: string, expected: Expected): boolean {
    const entry = this.#memory.peek(key);
    if (expected === undefined) return true;
    if (expected === 'absent') return entry === undefined;
    return entry !== undefined && digest(entry.bytes) === expected.digest;
  }

  /** One turn to the memory, one back; a connection lost on the way back leaves the caller in doubt. */
  async #request<R>(
    execute: () => () => R,
    lost: Error = new OutcomeUnknownError(
      'the memory was disconnected before it replied; the write may have happened',
    ),
  ): Promise<R> {
    await this.#turn();
    if (this.#closed) throw new ClosedError();
    if (!this.#memory.connected) throw new UnavailableError('the memory is disconnected');
    const { generation } = this.feed;
    const answer = execute();
    await this.#turn();
    if (this.#lostSince(generation)) throw lost;
    return answer();
  }

  #lostSince(generation: number): boolean {
    return generation !== this.feed.generation && !this.#memory.connected;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.nextTurn(resolve);
    });
  }
}

function disconnected(): UnavailableError {
  return new UnavailableError('the memory is disconnected');
}

function conflict(): never {
  throw new ConflictError('the stored bytes are not the ones that the write was to replace');
}
