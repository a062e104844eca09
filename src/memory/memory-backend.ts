import { randomUUID } from 'node:crypto';
import type { AttemptBackend } from '../attempts.js';
import type { Clock } from '../clock.js';
import {
  createKeyFeed,
  type AttemptHint,
  type CredentialBackend,
  type Expected,
  type Hint,
  type KeyFeed,
  type KeyWatch,
  type KeyWatcher,
  type Observation,
  type RemoveRequest,
  type WriteRequest,
} from '../credential-backend.js';
import { digest } from '../encoding.js';
import { ClosedError, ConflictError, OutcomeUnknownError, UnavailableError } from '../errors.js';
import { ServerTime } from '../server-time.js';
import { markCleared, MemoryAttempts } from './memory-attempts.js';
import type { CredentialMemory } from './credential-memory.js';

interface Watched {
  readonly key: string;
  readonly watcher: KeyWatcher;
}

/**
 * Connects one store to a {@link CredentialMemory} the way a network would: a request takes a turn of the event loop, so does its
 * answer, bytes are copied both ways, and hints travel apart from the data.
 */
export class MemoryBackend implements CredentialBackend {
  readonly node: string = randomUUID();
  readonly clock: Clock;
  readonly random: () => number;
  readonly #memory: CredentialMemory;
  readonly #time: ServerTime;
  readonly #watched = new Set<Watched>();
  readonly #leave: () => void;
  #feed: KeyFeed;
  #lastProofAt: number;
  #attempts: MemoryAttempts | undefined;
  #closed = false;

  constructor(memory: CredentialMemory) {
    this.#memory = memory;
    this.clock = memory.clock;
    this.random = memory.random;
    // The memory's clock is this machine's: a drift would only make ends of long-lived credentials late.
    this.#time = new ServerTime(memory.clock, 0);
    this.#lastProofAt = this.clock.monotonic();
    this.#feed = createKeyFeed({
      link: memory.connected ? 'live' : 'connecting',
      generation: 1,
      gap: 'link',
      notifications: 'keyspace',
      announcing: true,
      boundMs: 0,
      error: undefined,
    });
    this.#leave = memory.join({
      hint: (key, hint) => {
        this.#hint(key, hint);
      },
      gap: (gap, connected) => {
        this.#gap(gap, connected);
      },
    });
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    const sentAt = this.clock.monotonic();
    return this.#request(() => {
      const entry = this.#memory.peek(key);
      const serverNow = this.#memory.now();
      const tooLarge = entry !== undefined && entry.bytes.length > maxBytes;
      const bytes = entry && Buffer.from(entry.bytes);
      return () => {
        this.#time.sample(serverNow, sentAt, this.clock.monotonic());
        return {
          content: tooLarge
            ? { type: 'foreign', reason: 'too-large' }
            : bytes === undefined
              ? { type: 'absent' }
              : { type: 'bytes', bytes },
          expiresAt: entry?.expiresAt,
          toleranceMs: 0,
          serverNow,
          time: this.#time,
        } as const;
      };
    }, new UnavailableError('the memory is disconnected'));
  }

  write({ key, bytes, ttl, expected, reason }: WriteRequest): Promise<{ announced: boolean }> {
    return this.#request(() => {
      if (!this.#matches(key, expected)) return conflict;
      const before = this.#memory.peek(key);
      const expiresAt =
        ttl === 'keep' ? before?.expiresAt : ttl === 'none' ? undefined : this.#memory.now() + ttl;
      this.#memory.put(key, Buffer.from(bytes), expiresAt);
      this.#memory.tell(key, { type: 'written', origin: { node: this.node }, reason });
      return () => ({ announced: true });
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
      markCleared(this.#memory, key);
      if (removed) {
        this.#memory.tell(key, {
          type: 'removed',
          as: 'cleared',
          origin: { node: this.node },
          reason,
        });
      }
      return () => ({ removed, announced: true });
    });
  }

  get attempts(): AttemptBackend {
    return (this.#attempts ??= new MemoryAttempts(this.#memory, {
      node: this.node,
      request: (execute) => this.#request(execute),
    }));
  }

  watch(key: string, _maxBytes: number, watcher: KeyWatcher): KeyWatch {
    const watched: Watched = { key, watcher };
    this.#watched.add(watched);
    this.clock.nextTurn(() => {
      if (this.#watched.has(watched)) watcher.feed(this.#feed);
    });
    return {
      observe: () => this.observe(key, _maxBytes),
      vouchedAt: () => (this.#memory.connected ? this.clock.monotonic() : this.#lastProofAt),
      reportClockStep: () => {
        this.clock.nextTurn(() => {
          if (this.#time.hasStepped()) this.#begin({ gap: 'clock' });
        });
      },
      stop: () => {
        this.#watched.delete(watched);
      },
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#leave();
    this.#watched.clear();
    return Promise.resolve();
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
    lost: Error = new OutcomeUnknownError('the memory was disconnected before it answered'),
  ): Promise<R> {
    await this.#turn();
    if (this.#closed) throw new ClosedError();
    if (!this.#memory.connected) throw new UnavailableError('the memory is disconnected');
    const { generation } = this.#feed;
    const answer = execute();
    await this.#turn();
    if (this.#lostSince(generation)) throw lost;
    return answer();
  }

  #lostSince(generation: number): boolean {
    return generation !== this.#feed.generation && !this.#memory.connected;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.nextTurn(resolve);
    });
  }

  #hint(key: string, hint: Hint | AttemptHint): void {
    const { generation } = this.#feed;
    const own =
      hint.type !== 'attempt' && typeof hint.origin === 'object' && hint.origin.node === this.node;
    const labeled: Hint | AttemptHint = own ? { ...hint, origin: 'self' } : hint;
    this.clock.nextTurn(() => {
      if (generation !== this.#feed.generation) return;
      for (const one of this.#watched) if (one.key === key) one.watcher.hint(labeled);
    });
  }

  #gap(gap: 'link' | 'data', connected: boolean): void {
    // Hints arrived until now, however long ago the last look was.
    if (!connected && this.#feed.link === 'live') this.#lastProofAt = this.clock.monotonic();
    this.#begin({ gap, link: connected ? 'live' : 'reconnecting' });
  }

  #begin(next: Pick<KeyFeed, 'gap'> & Partial<KeyFeed>): void {
    this.#feed = createKeyFeed({ ...this.#feed, ...next, generation: this.#feed.generation + 1 });
    const feed = this.#feed;
    for (const { watcher } of [...this.#watched]) watcher.feed(feed);
  }
}

function conflict(): never {
  throw new ConflictError('other bytes are stored than the write was to replace');
}
