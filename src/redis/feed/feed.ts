import {
  createKeyFeed,
  type HintFeed,
  type KeyFeed,
  type KeyWatcher,
  type Observation,
  type PrefixWatcher,
} from '../../backend/backend.js';
import { ClosedError, UnavailableError, type RefusedError } from '../../errors.js';
import { after } from '../../time/timers.js';
import { FeedRun } from './feed-session.js';
import type { FeedRunContext } from './feed-session-context.js';
import { isDenial, readFailure } from '../reply-errors.js';
import { toObservation } from '../commands/reader.js';
import { retryPauseMs } from '../connection/retry-pause.js';
import { WatchedKeys, type AnyWatched, type WatchedKey } from './subscribers.js';

/** A link that lived this long was a good one: the next failure is a new one. */
const GOOD_LIFE_MS = 1_000;

type Condition = Pick<KeyFeed, 'link' | 'generation' | 'gap' | 'error'>;

export interface RedisFeedContext extends Omit<
  FeedRunContext,
  'keys' | 'lost' | 'gap' | 'changed'
> {
  /** A number that no other generation of any feed has. */
  readonly newGeneration: () => number;
  /** The link is lost, or could not be opened. */
  readonly down: () => void;
}

/**
 * Keeps the hints of all watched keys coming: while any key is watched there is a run, or one is being opened, or a timer that will open
 * one. Every gap between runs is a new generation.
 */
export class RedisFeed implements HintFeed {
  readonly #context: RedisFeedContext;
  readonly #keys = new WatchedKeys();
  #run: FeedRun | undefined;
  /** Identifies the attempt under way, and gives it up. */
  #opening: AbortController | undefined;
  #cancelRetry: (() => void) | undefined;
  #wasLive = false;
  #liveSince = 0;
  #failures = 0;
  #condition: Condition = {
    link: 'connecting',
    generation: 0,
    gap: 'link',
    error: undefined,
  };
  /** Keys in the same condition share one value. */
  readonly #feeds = new Map<string, KeyFeed>();
  #lastVouchedAt: number;
  #recounting = false;
  /** Whether this process may announce its writes, as far as it knows. */
  #announcing = true;
  #closed = false;

  constructor(context: RedisFeedContext) {
    this.#context = context;
    this.#lastVouchedAt = context.linkOptions.clock.monotonic();
  }

  watch(key: string, watcher: KeyWatcher): void {
    const watched = this.#keys.add(key, watcher);
    this.#came(watched, () => {
      if (watched.has(watcher)) watcher.feed(this.#feedOf(watched));
    });
  }

  unwatch(key: string, watcher: KeyWatcher): void {
    this.#left(this.#keys.remove(key, watcher));
  }

  #came(watched: AnyWatched, tell: () => void): void {
    this.#context.linkOptions.clock.nextTurn(tell);
    if (this.#run === undefined) this.#open();
    else if (watched.heard === undefined && watched.watchers.length === 1)
      this.#run.listen(watched);
    this.#recount();
  }

  #left(abandoned: AnyWatched | undefined): void {
    if (abandoned === undefined) return;
    this.#run?.leave(abandoned);
    if (this.#keys.isEmpty) this.#rest();
    else this.#recount();
  }

  watchPrefix(prefix: string, watcher: PrefixWatcher): void {
    const watched = this.#keys.addPrefix(prefix, watcher);
    this.#came(watched, () => {
      if (watched.has(watcher)) watcher.feed(this.#feedOf(watched));
    });
  }

  unwatchPrefix(prefix: string, watcher: PrefixWatcher): void {
    this.#left(this.#keys.removePrefix(prefix, watcher));
  }

  /** Looks at a key over the subscribed connection; `undefined` when that is not there or cannot read. */
  async read(key: string, maxBytes: number): Promise<Observation | undefined> {
    const run = this.#run;
    if (run?.observer === undefined) return undefined;
    try {
      return toObservation(
        await run.observer.look({ key, maxBytes, epochKey: undefined }),
        this.#context.time,
      );
    } catch (error) {
      // Let go because the last watcher left, not lost: the other connection can answer.
      if (this.#keys.isEmpty) return undefined;
      throw run.failure(error);
    }
  }

  /** Tells watchers, all or those of `some` keys, what has changed about their feeds. */
  changed(some?: readonly AnyWatched[]): void {
    if (some === undefined) this.#feeds.clear();
    this.#keys.report((watched) => this.#feedOf(watched), some);
  }

  learned(announcing: boolean): void {
    if (announcing === this.#announcing) return;
    this.#announcing = announcing;
    this.changed();
  }

  retime(): void {
    this.#run?.retime();
    this.#recount();
  }

  close(): void {
    this.#closed = true;
    this.#rest();
  }

  #open(): void {
    if (this.#closed || this.#opening !== undefined || this.#cancelRetry !== undefined) return;
    const attempt = new AbortController();
    this.#opening = attempt;
    FeedRun.open(
      {
        ...this.#context,
        keys: this.#keys,
        lost: (run, error) => {
          this.#lost(run, error);
        },
        gap: (run, gap) => {
          if (run === this.#run) this.#newGeneration({ link: 'live', gap, error: undefined });
        },
        changed: (run, some) => {
          if (run === this.#run) this.changed(some);
        },
      },
      attempt.signal,
    ).then(
      (run) => {
        if (this.#opening === attempt) this.#live(run);
        else run.stop();
      },
      (error: unknown) => {
        if (this.#opening !== attempt) return;
        this.#opening = undefined;
        this.#keys.forgetSubscriptions();
        this.#retry(readFailure(error));
      },
    );
  }

  #live(run: FeedRun): void {
    this.#opening = undefined;
    this.#run = run;
    this.#wasLive = true;
    this.#liveSince = this.#context.linkOptions.clock.monotonic();
    run.start();
    this.#newGeneration({ link: 'live', gap: 'link', error: undefined });
  }

  #lost(run: object, error: unknown): void {
    if (run !== this.#run) return;
    this.#endRun();
    if (this.#context.linkOptions.clock.monotonic() - this.#liveSince >= GOOD_LIFE_MS)
      this.#failures = 0;
    this.#retry(readFailure(error));
  }

  #retry(error: UnavailableError | RefusedError): void {
    const denied = isDenial(error);
    const { linkOptions, settings } = this.#context;
    this.#failures += 1;
    const pause = retryPauseMs(this.#failures, denied, settings().random);
    this.#cancelRetry = after(linkOptions.clock, pause, () => {
      this.#cancelRetry = undefined;
      this.#open();
    });
    const link = denied ? 'unauthorized' : this.#wasLive ? 'reconnecting' : 'connecting';
    this.#newGeneration({ link, gap: 'link', error });
    this.#context.down();
  }

  /** Nothing is watched: no connection, no timer. */
  #rest(): void {
    this.#opening?.abort();
    this.#opening = undefined;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#endRun();
    this.#failures = 0;
    this.#wasLive = false;
    this.#feeds.clear();
    this.#condition = { ...this.#condition, link: 'connecting', error: undefined };
  }

  #endRun(): void {
    if (this.#run === undefined) return;
    this.#lastVouchedAt = this.#run.vouchedAt;
    this.#run.stop();
    this.#run = undefined;
    this.#keys.forgetSubscriptions();
  }

  reportClockStep(): void {
    const { clock } = this.#context.linkOptions;
    if (this.#run !== undefined) this.#run.reportClockStep();
    else
      clock.nextTurn(() => {
        if (this.#run === undefined) this.#newGeneration({ ...this.#condition, gap: 'clock' });
      });
  }

  #newGeneration(next: Omit<Condition, 'generation'>): void {
    this.#condition = { ...next, generation: this.#context.newGeneration() };
    this.changed();
  }

  async observeMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    return (this.#run ?? this.#unlinked()).observeMany(keys, maxBytes);
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    // Not an async function: what is to be sent goes out at once.
    if (this.#run === undefined) return Promise.resolve().then(() => this.#unlinked());
    return this.#run.observe(key, maxBytes);
  }

  #unlinked(): never {
    throw this.#closed ? new ClosedError() : new UnavailableError('there is no link to Redis');
  }

  /** The bound depends on the settings, and on how many keys share the heartbeat; told once a turn, however many come and go in it. */
  #recount(): void {
    if (this.#recounting || this.#run === undefined) return;
    this.#recounting = true;
    this.#context.linkOptions.clock.nextTurn(() => {
      this.#recounting = false;
      if (this.#run !== undefined) this.changed();
    });
  }

  vouchedAt(): number {
    return this.#run?.vouchedAt ?? this.#lastVouchedAt;
  }

  #feedOf({ heard: hearing }: Pick<WatchedKey, 'heard'>): KeyFeed {
    const { link } = this.#condition;
    const heard = link !== 'live' || hearing !== undefined;
    const mode = this.#run?.modes.of({ heard: hearing }) ?? 'polling';
    const name = `${String(heard)} ${mode}`;
    let feed = this.#feeds.get(name);
    if (feed === undefined) {
      feed = createKeyFeed({
        ...this.#condition,
        link: heard ? link : 'connecting',
        notifications: mode,
        announcing: this.#announcing,
        boundMs: this.#run?.modes.boundMs(mode, this.#keys.size) ?? 0,
      });
      this.#feeds.set(name, feed);
    }
    return feed;
  }
}
