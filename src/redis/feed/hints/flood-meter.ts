import type { Clock } from '../../../time/clock.js';
import { WatchedPrefix, type WatchedKey } from '../watched-keys.js';

/** The clock is asked once for so many messages. */
const STEP = 256;
const WINDOW_MS = 500;
/** No program changes one credential so often, nor all below one prefix. */
const MOST_PER_SECOND = { key: 1_000, prefix: 20_000 } as const;

/** Finds the keys and prefixes about which more messages come than any program has reason to send. */
export class FloodMeter {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #flooded: (watched: WatchedKey) => void;
  readonly #counts = new Map<WatchedKey, number>();
  #left = STEP;
  #since: number;

  /** @param flooded - called for each of them */
  constructor(clock: Pick<Clock, 'monotonic'>, flooded: (watched: WatchedKey) => void) {
    this.#clock = clock;
    this.#flooded = flooded;
    this.#since = clock.monotonic();
  }

  /** A message about the key, or about one below the prefix, has come. */
  count(watched: WatchedKey): void {
    this.#counts.set(watched, (this.#counts.get(watched) ?? 0) + 1);
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = STEP;
    this.#judge();
  }

  #judge(): void {
    const now = this.#clock.monotonic();
    const seconds = (now - this.#since) / 1_000;
    if (seconds * 1_000 < WINDOW_MS) return;
    const counts = [...this.#counts];
    this.#counts.clear();
    this.#since = now;
    for (const [watched, count] of counts) {
      const most = MOST_PER_SECOND[watched instanceof WatchedPrefix ? 'prefix' : 'key'];
      if (count > most * seconds) this.#flooded(watched);
    }
  }
}
