import {
  createFeedCondition,
  type AttemptHint,
  type Hint,
  type FeedCondition,
} from '../backend/backend.js';
import { LinkProof } from '../backend/link-proof.js';
import { OptionSharing } from '../util/option-sharing.js';
import { ServerTime } from '../time/server-time.js';
import type { CredentialMemory, MemoryClient } from './credential-memory.js';
import type { MemorySubscription, SubscribedBackend } from './subscription.js';

/**
 * The feed that the stores on one {@link CredentialMemory} share: their subscriptions, the condition of their link, one view of the memory's
 * clock.
 */
export class MemoryFeed implements MemoryClient {
  readonly sharing: OptionSharing = new OptionSharing();
  readonly #memory: CredentialMemory;
  readonly #keys = new Map<string, readonly MemorySubscription[]>();
  #prefixes: readonly MemorySubscription[] = [];
  #time: ServerTime;
  #proof = new LinkProof((at) => this.confirmedAt(at));
  #condition: FeedCondition;
  #lastProofAt: number;
  #stepReported = false;

  constructor(memory: CredentialMemory) {
    this.#memory = memory;
    this.#time = timeOf(memory);
    this.#lastProofAt = memory.clock.monotonic();
    this.#condition = createFeedCondition({
      link: memory.connected ? 'live' : 'connecting',
      generation: 1,
      gap: 'link',
      notifications: 'keyspace',
      announcing: true,
      maxLagMs: 0,
      proof: this.#proof,
      skewMs: () => this.#time.skewMs,
      provenWithinMs: 0,
      error: undefined,
    });
    memory.join(this);
  }

  /** Changes whenever hints may have been missed. */
  get generation(): number {
    return this.#condition.generation;
  }

  subscribe(subscription: MemorySubscription): void {
    // Without a subscription no step of the clocks was noticed, and no end depends on the old samples.
    if (this.#keys.size === 0 && this.#prefixes.length === 0) this.#time = timeOf(this.#memory);
    const { name, isPrefix, subscriber, backend } = subscription;
    if (isPrefix) this.#prefixes = [...this.#prefixes, subscription];
    // A list made by spreading has room for more, which would be the largest part of each of very many keys.
    else this.#keys.set(name, this.#subscribedTo(name).concat(subscription));
    this.#memory.clock.nextTurn(() => {
      if (this.#has(subscription)) subscriber.conditionChanged(this.#conditionFor(backend));
    });
  }

  unsubscribe(subscription: MemorySubscription): void {
    const { name, isPrefix } = subscription;
    if (isPrefix) {
      this.#prefixes = this.#prefixes.filter((one) => one !== subscription);
      return;
    }
    const left = this.#subscribedTo(name).filter((one) => one !== subscription);
    if (left.length > 0) this.#keys.set(name, left);
    else this.#keys.delete(name);
  }

  confirmedAt(at?: number): number {
    return this.#memory.connected ? (at ?? this.#memory.clock.monotonic()) : this.#lastProofAt;
  }

  /** Adds a sample: the memory's clock showed `serverNow` at some moment since `sentAt`. */
  sample(serverNow: number, sentAt: number): ServerTime {
    // The sample would hide the step from later checks.
    if (this.#time.hasStepped()) this.reportClockStep();
    this.#time.sample(serverNow, sentAt, this.#memory.clock.monotonic());
    return this.#time;
  }

  reportClockStep(): void {
    // Several reports of the same step make one gap.
    if (this.#stepReported) return;
    this.#stepReported = true;
    this.#memory.clock.nextTurn(() => {
      this.#stepReported = false;
      this.#begin({ gap: 'clock' });
    });
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    const { generation } = this.#condition;
    this.#memory.clock.nextTurn(() => {
      if (generation !== this.#condition.generation) return;
      const below = this.#prefixes.filter(({ name }) => key.startsWith(name));
      for (const { subscriber, backend } of [...this.#subscribedTo(key), ...below])
        subscriber.hint(key, isOwn(hint, backend) ? { ...hint, origin: 'self' } : hint);
    });
  }

  gap(gap: 'link' | 'data', connected: boolean): void {
    // Hints arrived until now, however long ago the last reading was.
    if (!connected && this.#condition.link === 'live')
      this.#lastProofAt = this.#memory.clock.monotonic();
    this.#begin({ gap, link: connected ? 'live' : 'reconnecting' });
  }

  #begin(next: Pick<FeedCondition, 'gap'> & Partial<FeedCondition>): void {
    const { generation } = this.#condition;
    this.#proof.stop();
    this.#proof = new LinkProof((at) => this.confirmedAt(at));
    this.#condition = createFeedCondition({
      ...this.#condition,
      ...next,
      proof: this.#proof,
      generation: generation + 1,
    });
    for (const { subscriber } of [...[...this.#keys.values()].flat(), ...this.#prefixes])
      subscriber.conditionChanged(this.#condition);
  }

  /** A store created during an outage is `connecting`, not `reconnecting`. */
  #conditionFor({ joinedAt }: SubscribedBackend): FeedCondition {
    const { link, generation } = this.#condition;
    if (link !== 'reconnecting' || joinedAt !== generation) return this.#condition;
    return createFeedCondition({ ...this.#condition, link: 'connecting' });
  }

  #has(subscription: MemorySubscription): boolean {
    const { name, isPrefix } = subscription;
    return (isPrefix ? this.#prefixes : this.#subscribedTo(name)).includes(subscription);
  }

  #subscribedTo(key: string): readonly MemorySubscription[] {
    return this.#keys.get(key) ?? [];
  }
}

function isOwn(hint: Hint | AttemptHint, backend: SubscribedBackend): hint is Hint {
  return (
    hint.type !== 'attempt' &&
    typeof hint.origin === 'object' &&
    backend.isInstance(hint.origin.instance)
  );
}

/** The memory's clock is this machine's: an assumed drift would only make ends of long-lived credentials late. */
function timeOf({ clock }: CredentialMemory): ServerTime {
  return new ServerTime(clock, 0);
}
