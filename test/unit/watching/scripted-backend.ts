import { LinkProof } from '../../../src/backend/link-proof.js';
import { VirtualClock } from 'credstream/testing';

import {
  createFeedCondition,
  type Backend,
  type Hint,
  type FeedCondition,
  type Observation,
  type PollResult,
  type Subscriber,
  type Subscription,
  type SubscriptionTarget,
} from '../../../src/backend/backend.js';
import type { Content } from '../../../src/credential/content.js';
import { OptionSharing } from '../../../src/util/option-sharing.js';
import { ServerTime } from '../../../src/time/server-time.js';

export const HOUR = 3_600_000;

/** A read that was asked for and has not been answered. */
export interface Request {
  /** The server executes it now; what it sees is what the answer will say. */
  read(): void;
  /** The answer arrives, of a read now if there was none. */
  answer(): Promise<void>;
  reject(error: Error): Promise<void>;
}

const unused = (): never => {
  throw new Error('not part of the script');
};

/**
 * A server and the way to it, where everything happens when the test says so: reads are answered at once, after a latency, or by hand, and
 * hints and conditions of the feed are sent by the test.
 */
export class ScriptedBackend implements Backend {
  readonly instance = 'this-instance';
  readonly name = 'this-pod';
  readonly ownPrefix = 'credstream:';
  readonly clock = new VirtualClock();
  readonly random = (): number => 0.5;
  readonly sharing = new OptionSharing();
  replyTimeoutMs = 0;
  readonly swap = unused;
  /** The clears that were to be ended, each with the server's time of the reading that found the key stored. */
  readonly clearEnds: (readonly [key: string, storedAt: number | undefined])[] = [];
  readonly endClear = (key: string, storedAt?: number): Promise<void> => {
    this.clearEnds.push([key, storedAt]);
    return Promise.resolve();
  };
  readonly requests: Request[] = [];
  /** How many reads were asked for. */
  reads = 0;
  watching = 0;
  clockSteps = 0;
  /** Answers take half of it each way; `undefined`: the test answers. */
  latencyMs: number | undefined = 0;
  confirmed: number | undefined;
  /** How exactly ends can be emitted. */
  toleranceMs = 0;
  /** Shows keys whose TTL has ended, as a server does that may not delete them. */
  keepsEnded = false;
  readonly #time = new ServerTime(this.clock);
  #serverOffset: number;
  #stored: { readonly content: Content; readonly expiresAt: number | undefined };
  #key = '';
  #subscriber: Subscriber | undefined;
  #feed: FeedCondition = createFeedCondition({
    link: 'live',
    generation: 1,
    gap: 'link',
    notifications: 'keyspace',
    announcing: true,
    maxLagMs: 1_000,
    proof: new LinkProof(() => this.confirmed ?? this.clock.monotonic()),
    provenWithinMs: 0,
    error: undefined,
  });

  /** @param serverAheadMs - how much the server's clock is ahead of ours */
  constructor(serverAheadMs = 0) {
    this.#serverOffset = this.clock.now() + serverAheadMs;
    this.#stored = { content: { type: 'absent' }, expiresAt: undefined };
  }

  readonly write = unused;
  readonly remove = unused;
  readonly read = unused;
  readonly keys = unused;

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    if (!('key' in to)) return unused();
    this.watching += 1;
    this.#key = to.key;
    this.#subscriber = subscriber;
    this.clock.nextTurn(() => {
      if (this.#subscriber === subscriber) subscriber.conditionChanged(this.#feed);
    });
    return {
      read: () => this.#read(),
      confirmedAt: () => this.confirmed ?? this.clock.monotonic(),
      reportClockStep: () => {
        this.clockSteps += 1;
      },
      close: () => {
        if (this.#subscriber !== subscriber) return;
        this.watching -= 1;
        this.#subscriber = undefined;
      },
    };
  }

  serverNow(): number {
    return this.#serverOffset + this.clock.monotonic();
  }

  /** The machine sleeps, the server does not. */
  sleep(ms: number): void {
    this.clock.sleep(ms);
    this.#serverOffset += ms;
  }

  /** Sets the server's clock. */
  stepServer(ms: number): void {
    this.#serverOffset += ms;
  }

  /** Stores bytes without a word. */
  put(text: string, inMs?: number): number | undefined {
    const expiresAt = inMs === undefined ? undefined : Math.floor(this.serverNow() + inMs);
    this.#stored = { content: { type: 'bytes', bytes: Buffer.from(text) }, expiresAt };
    return expiresAt;
  }

  /** Stores what is no credential's bytes, or with `absent` nothing, without a word. */
  hold(content: Content): void {
    this.#stored = { content, expiresAt: undefined };
  }

  hint(hint: Partial<Hint> = {}): void {
    const labels = { origin: 'out-of-band', reason: undefined } as const;
    this.#subscriber?.hint(this.#key, { type: 'written', ...labels, ...hint } as Hint);
  }

  poll(): PollResult | undefined {
    return this.#subscriber?.pollNext();
  }

  /** Tells a new condition of the feed, of a new generation unless it is given. */
  feed(condition: Partial<FeedCondition>): void {
    const generation = this.#feed.generation + 1;
    this.#feed = createFeedCondition({ ...this.#feed, generation, ...condition });
    this.#subscriber?.conditionChanged(this.#feed);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #read(): Promise<Observation> {
    this.reads += 1;
    const sentAt = this.clock.monotonic();
    let seen: Omit<Observation, 'time'> | undefined;
    const read = (): void => {
      const { content, expiresAt } = this.#current();
      seen = {
        content,
        expiresAt,
        toleranceMs: this.toleranceMs,
        serverNow: this.serverNow(),
      };
    };
    return new Promise((resolve, reject) => {
      const answer = (): void => {
        if (seen === undefined) read();
        this.#time.sample(seen!.serverNow, sentAt, this.clock.monotonic());
        resolve({ ...seen!, time: this.#time });
      };
      if (this.latencyMs === undefined) {
        this.requests.push({
          read,
          answer: () => {
            answer();
            return this.clock.settle();
          },
          reject: (error) => {
            reject(error);
            return this.clock.settle();
          },
        });
      } else if (this.latencyMs === 0) answer();
      else {
        this.clock.setTimer(read, this.latencyMs / 2);
        this.clock.setTimer(answer, this.latencyMs);
      }
    });
  }

  /** As Redis: a key is still there in the millisecond in which its TTL ends. */
  #current(): { readonly content: Content; readonly expiresAt: number | undefined } {
    const { expiresAt } = this.#stored;
    if (expiresAt !== undefined && this.serverNow() >= expiresAt + 1) this.hold({ type: 'absent' });
    return this.#stored;
  }
}
