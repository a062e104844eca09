import { RefusedError } from '../../errors.js';
import { inRootContext } from '../../time/async-context.js';
import type { Clock } from '../../time/clock.js';
import type { Returned } from '../commands/writes/end-clears.js';
import { slotOf } from '../keys.js';
import type { Servers } from './servers.js';

/** The most keys under way at a time. */
const BATCH = 100;

/**
 * Ends the clears of keys that are stored again. Very many keys may come back at once, as after a restored backup; one batch after the other is
 * sent, in one script for each server or slot.
 */
export class ClearEnds {
  readonly #servers: Pick<Servers, 'withSession'>;
  readonly #clock: Pick<Clock, 'nextTurn'>;
  readonly #inCluster: boolean;
  /** Each key with the server's time of a reading that found it stored, where that counts. */
  readonly #waiting = new Map<string, number | undefined>();
  #sending: Promise<void> | undefined;

  constructor(
    servers: Pick<Servers, 'withSession'>,
    clock: Pick<Clock, 'nextTurn'>,
    inCluster: boolean,
  ) {
    this.#servers = servers;
    this.#clock = clock;
    this.#inCluster = inCluster;
  }

  /** Resolves once the clears of all waiting keys have ended, or cannot be ended now. Never rejects. */
  add(key: string, storedAt: number | undefined): Promise<void> {
    this.#waiting.set(key, storedAt ?? this.#waiting.get(key));
    return (this.#sending ??= inRootContext(() => this.#send()));
  }

  async #send(): Promise<void> {
    // Keys of one resync come in the same turn.
    await new Promise<void>((resolve) => {
      this.#clock.nextTurn(resolve);
    });
    while (this.#waiting.size > 0) {
      const failed = new Set<number>();
      await Promise.all(
        [...this.#groups(this.#take())].map(([group, keys]) =>
          this.#servers
            .withSession(keys[0]?.[0] ?? '', ({ writer }) => writer.endClears(keys))
            .catch((error: unknown) => {
              if (!(error instanceof RefusedError)) failed.add(group);
            }),
        ),
      );
      // Their server is away: the rest of a group would fare no better.
      if (failed.size > 0)
        for (const key of [...this.#waiting.keys()])
          if (failed.has(this.#groupOf(key))) this.#waiting.delete(key);
    }
    this.#sending = undefined;
  }

  #take(): Returned[] {
    const batch: Returned[] = [];
    for (const returned of this.#waiting) {
      if (batch.length === BATCH) break;
      batch.push(returned);
      this.#waiting.delete(returned[0]);
    }
    return batch;
  }

  /** The keys that one script may name, by slot. */
  #groups(batch: Returned[]): Map<number, Returned[]> {
    const groups = new Map<number, Returned[]>();
    for (const returned of batch) {
      const group = this.#groupOf(returned[0]);
      const keys = groups.get(group);
      if (keys === undefined) groups.set(group, [returned]);
      else keys.push(returned);
    }
    return groups;
  }

  #groupOf(key: string): number {
    return this.#inCluster ? slotOf(key) : 0;
  }
}
