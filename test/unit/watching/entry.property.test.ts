import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Clock } from '../../../src/time/clock.js';
import {
  createFeedCondition,
  type Backend,
  type Hint,
  type FeedCondition,
  type Observation,
  type Subscriber,
  type Subscription,
  type SubscriptionTarget,
} from '../../../src/backend/backend.js';
import { Encoding } from '../../../src/credential/encoding.js';
import { UnavailableError } from '../../../src/errors.js';
import { OwnEntry } from '../../../src/watching/own-entry.js';
import { resolveStoreOptions } from '../../../src/stores/options.js';
import { OptionSharing } from '../../../src/util/option-sharing.js';
import { ServerTime } from '../../../src/time/server-time.js';

const unused = (): never => {
  throw new Error('not part of this');
};

type Value = 'token' | 'garbage' | 'none';

/** A server whose every message takes as long as the scheduler likes, so that all orders are tried. */
class ShuffledBackend implements Backend {
  readonly instance = 'instance';
  readonly name = 'pod';
  readonly ownPrefix = 'credstream:';
  readonly random = (): number => 0.5;
  readonly clock: Clock;
  /** All states that the key was in; the last one is how it is now. */
  readonly history: (string | undefined)[] = [undefined];
  underWay = 0;
  mostUnderWay = 0;
  readonly #scheduler: fc.Scheduler;
  readonly #time: ServerTime;
  #subscriber: Subscriber | undefined;
  #feed: FeedCondition = createFeedCondition({
    link: 'live',
    generation: 1,
    gap: 'link',
    notifications: 'keyspace',
    announcing: true,
    maxLagMs: 0,
    proof: { confirmedAt: Infinity },
    provenWithinMs: 0,
    error: undefined,
  });

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
    this.clock = {
      now: () => 2e12,
      monotonic: () => 0,
      setTimer: () => () => {},
      nextTurn: (run) => void this.later('turn').then(run),
    };
    this.#time = new ServerTime(this.clock);
  }

  readonly write = unused;
  readonly remove = unused;
  readonly read = unused;
  readonly keys = unused;
  readonly sharing = new OptionSharing();
  readonly replyTimeoutMs = 0;
  readonly swap = unused;
  readonly endClear = (): Promise<void> => Promise.resolve();

  subscribe(_to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    this.#subscriber = subscriber;
    void this.later('condition').then(() => {
      if (this.#subscriber === subscriber) subscriber.conditionChanged(this.#feed);
    });
    return {
      read: () => this.#read(),
      confirmedAt: () => 0,
      reportClockStep: () => {},
      close: () => {
        this.#subscriber = undefined;
      },
    };
  }

  later(label: string): Promise<void> {
    return this.#scheduler.schedule(Promise.resolve(), label);
  }

  /** Stores something that was never there before, so that what is shown late shows. */
  store(kind: Value, hinted: boolean): void {
    const value = kind === 'none' ? undefined : `${kind} ${String(this.history.length)}`;
    if (value === this.history.at(-1)) return;
    this.history.push(value);
    const { generation } = this.#feed;
    if (!hinted || this.#feed.link !== 'live') return;
    const labels = { origin: 'out-of-band', reason: undefined } as const;
    const hint: Hint =
      value === undefined
        ? { type: 'removed', as: 'cleared', ...labels }
        : { type: 'written', ...labels };
    void this.later('hint').then(() => {
      if (generation === this.#feed.generation) this.#subscriber?.hint('key', hint);
    });
  }

  feed(link: 'live' | 'reconnecting'): void {
    this.#feed = createFeedCondition({
      ...this.#feed,
      link,
      generation: this.#feed.generation + 1,
    });
    this.#subscriber?.conditionChanged(this.#feed);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #read(): Promise<Observation> {
    const { generation } = this.#feed;
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    await this.later('read');
    const value = this.history.at(-1);
    await this.later('answer');
    if (generation === this.#feed.generation) this.underWay -= 1;
    else if (this.#feed.link !== 'live') throw new UnavailableError('the link was lost');
    this.#time.sample(2e12, 0, 0);
    return {
      content:
        value === undefined ? { type: 'absent' } : { type: 'bytes', bytes: Buffer.from(value) },
      expiresAt: undefined,
      toleranceMs: 0,
      serverNow: 2e12,
      time: this.#time,
    };
  }

  /** Reads of an earlier generation do not count: nobody waits for them. */
  forget(): void {
    this.underWay = 0;
  }
}

type Step =
  | { readonly type: 'store'; readonly value: Value; readonly hinted: boolean }
  | { readonly type: 'gap' }
  | { readonly type: 'cut' };

const store: fc.Arbitrary<Step> = fc.record({
  type: fc.constant('store' as const),
  value: fc.constantFrom<Value>('token', 'token', 'garbage', 'none'),
  hinted: fc.boolean(),
});
const gap: fc.Arbitrary<Step> = fc.constant({ type: 'gap' });
const cut: fc.Arbitrary<Step> = fc.constant({ type: 'cut' });
/** How many messages arrive before it. */
const pause = fc.nat({ max: 6 });
const step = fc.record({
  pause,
  what: fc.oneof(
    { weight: 4, arbitrary: store },
    { weight: 2, arbitrary: gap },
    { weight: 1, arbitrary: cut },
  ),
});

describe('with messages in any order', () => {
  it('the emitted states are some of the real ones, in order, and the last is right', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(step, { maxLength: 25 }),
        async (scheduler, steps) => {
          const backend = new ShuffledBackend(scheduler);
          const { shared } = resolveStoreOptions<string>({
            key: 'key',
            serialize: unused,
            deserialize: async (bytes) => {
              await backend.later('decode');
              const text = bytes.toString();
              if (text.startsWith('garbage')) throw new Error('garbage');
              return text;
            },
            maxStalenessMs: Infinity,
            onCallbackError: () => {},
          });
          const encoding = new Encoding<string>(shared, undefined, backend.clock);
          const live = new OwnEntry<string>('id', 'key', shared, backend, encoding);
          const shown: (string | undefined)[] = [];
          let changes = 0;
          live.events$.subscribe((event) => {
            if (event.type !== 'state') return;
            const { state, change } = event;
            if (change !== undefined) changes += 1;
            if (state === undefined) return;
            if (state.type === 'present') shown.push(state.snapshot.credentials);
            else shown.push(state.type === 'unreadable' ? 'garbage' : undefined);
          });
          live.retain();
          const run = (one: Step): void => {
            if (one.type === 'store') backend.store(one.value, one.hinted);
            else {
              backend.forget();
              backend.feed(one.type === 'gap' ? 'live' : 'reconnecting');
            }
          };
          scheduler.scheduleSequence(
            steps.flatMap(({ pause: messages, what }) => [
              ...Array.from({ length: messages }, () => () => Promise.resolve()),
              () => {
                run(what);
                return Promise.resolve();
              },
            ]),
          );
          await scheduler.waitIdle();
          // Whatever hints were lost: once the link is there again, all is well.
          if (
            steps.some(({ what }) => what.type === 'cut' || (what.type === 'store' && !what.hinted))
          ) {
            backend.forget();
            backend.feed('live');
            await scheduler.waitIdle();
          }

          const history = backend.history.map((one) => (one?.startsWith('g') ? 'garbage' : one));
          expect(shown.at(-1)).toBe(history.at(-1));
          expect(isSubsequence(shown, history)).toBe(true);
          for (const [index, one] of shown.entries())
            if (one?.startsWith('token')) expect(shown.indexOf(one)).toBe(index);
          // The first state is no change, every other one is.
          expect(changes).toBe(shown.length - 1);
          expect(backend.mostUnderWay).toBeLessThanOrEqual(1);
          live.close();
          await scheduler.waitIdle();
        },
      ),
      { numRuns: 600 },
    );
  });
});

function isSubsequence<V>(part: readonly V[], whole: readonly V[]): boolean {
  let at = -1;
  return part.every((one) => {
    at = whole.indexOf(one, at + 1);
    return at >= 0;
  });
}
