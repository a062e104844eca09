import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Subject } from 'rxjs';
import type { AttemptView } from '../../backend/attempts.js';
import type {
  AttemptHint,
  Backend,
  FeedCondition,
  Hint,
  Observation,
  Subscription,
  SubscriptionTarget,
  WriteRequest,
} from '../../backend/backend.js';
import { digest } from '../../credential/encoding.js';
import type { ContractInstance } from '../contract/harness.js';
import { inTime, Recorder } from '../contract/recorder.js';
import type { BackendContractCase, BackendHarness } from './harness.js';

/** More than any value of the contract has, but for those that are to be too large. */
export const MAX_BYTES = 1_024;
export const MINUTE_MS = 60_000;

export type AnyHint = Hint | AttemptHint;

/** A hint, and the key that it is about. */
export interface KeyHint {
  readonly key: string;
  readonly hint: AnyHint;
}

/** A subscription of a case, and everything that it got so far. */
export interface StagedSubscription {
  readonly hints: Recorder<KeyHint>;
  readonly conditions: Recorder<FeedCondition>;
  /** The subscription of the backend. */
  readonly feed: Subscription;
  readonly stop: () => void;
}

/** The surroundings of one case: a key and a prefix of its own, and its backends, which close with it. */
export class BackendStage {
  readonly prefix: string = `contract:${randomUUID()}:`;
  readonly key: string = `${this.prefix}key`;
  readonly harness: BackendHarness;
  readonly timeoutMs: number;
  readonly #backends = new Map<ContractInstance, Backend>();
  readonly #closed = new Set<Backend>();
  readonly #subscriptions = new Set<StagedSubscription>();

  constructor(harness: BackendHarness, timeoutMs: number) {
    this.harness = harness;
    this.timeoutMs = timeoutMs;
  }

  get outside(): BackendHarness['outside'] {
    return this.harness.outside;
  }

  get first(): Backend {
    return this.#backend('first');
  }

  get second(): Backend {
    return this.#backend('second');
  }

  /** Subscribes to a key or to a prefix. The only place of the contract that knows how a backend is subscribed to. */
  subscribe(backend: Backend, to: SubscriptionTarget): StagedSubscription {
    const hints$ = new Subject<KeyHint>();
    const conditions$ = new Subject<FeedCondition>();
    const hints = new Recorder(hints$, this.timeoutMs);
    const conditions = new Recorder(conditions$, this.timeoutMs);
    const feed = backend.subscribe(to, {
      size: 1,
      maxStalenessMs: Infinity,
      hint: (key, hint) => {
        hints$.next({ key, hint });
      },
      conditionChanged: (condition) => {
        conditions$.next(condition);
      },
      pollNext: () => 'none',
      pollAll: () => 'none',
    });
    const subscription: StagedSubscription = {
      hints,
      conditions,
      feed,
      stop: () => {
        this.#subscriptions.delete(subscription);
        feed.close();
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** A subscription that is live. */
  async listen(
    backend: Backend,
    to: SubscriptionTarget = { key: this.key },
  ): Promise<StagedSubscription> {
    const subscription = this.subscribe(backend, to);
    await subscription.conditions.take(({ link }) => link === 'live');
    return subscription;
  }

  /** Resolves when everything that was written before has been received: hints keep their order. */
  async receivedAll(backend: Backend): Promise<void> {
    const key = `fence:${randomUUID()}`;
    const { hints, stop } = await this.listen(backend, { key });
    await this.outside.set(key, 'fence', MINUTE_MS);
    await hints.take();
    stop();
  }

  /** Awaits exactly this hint; others may come before, because a place may tell one write in two ways. */
  async expectHint(
    { hints }: StagedSubscription,
    hint: AnyHint,
    key: string = this.key,
  ): Promise<void> {
    try {
      await hints.take((taken) => isDeepStrictEqual(taken, { key, hint }));
    } catch (error) {
      assert.deepEqual(
        hints.rest.map(({ hint: rest }) => rest),
        [hint],
      );
      throw error;
    }
  }

  read(backend: Backend = this.first, key: string = this.key): Promise<Observation> {
    return this.inTime('read', backend.read(key, MAX_BYTES));
  }

  write(
    backend: Backend,
    text: string,
    more: Partial<WriteRequest> = {},
  ): ReturnType<Backend['write']> {
    const request = {
      key: this.key,
      bytes: Buffer.from(text),
      ttl: 'none',
      expected: undefined,
      overLarge: false,
      reason: undefined,
      wanted: undefined,
      ...more,
    } as const;
    return this.inTime('write', backend.write(request));
  }

  remove(
    backend: Backend,
    { expected, reason }: { readonly expected?: { digest: string }; readonly reason?: string } = {},
  ): ReturnType<Backend['remove']> {
    return this.inTime('remove', backend.remove({ key: this.key, expected, reason }));
  }

  /** The content beside the credential. */
  async view(backend: Backend = this.first): Promise<AttemptView> {
    const view = await this.inTime('swap', backend.swap({ key: this.key }));
    assert.ok(view !== 'swapped', 'a question for the view swaps nothing');
    return view;
  }

  async stored(key: string = this.key): Promise<string | undefined> {
    const bytes = await this.outside.get(key);
    return bytes && Buffer.from(bytes).toString();
  }

  async now(): Promise<number> {
    return this.harness.now();
  }

  advance(ms: number): Promise<void> {
    return this.harness.advance(ms);
  }

  /** Checks an end that a write at some moment since `before` gave. */
  async assertEnd(ttlMs: number, before: number, key: string = this.key): Promise<void> {
    const { expiresAt, toleranceMs } = await this.read(this.first, key);
    const after = await this.now();
    const slack = toleranceMs + 1;
    assert.ok(expiresAt !== undefined, 'the key has no end');
    assert.ok(expiresAt >= before + ttlMs - slack, 'the key ends too early');
    assert.ok(expiresAt <= after + ttlMs + slack, 'the key ends too late');
  }

  async close(backend: Backend): Promise<void> {
    this.#closed.add(backend);
    // A backend has a part of the time, so that the deadline here tells a late backend from a hanging one.
    await this.inTime('close', backend.close(this.timeoutMs / 2));
  }

  inTime<R>(name: string, work: Promise<R>): Promise<R> {
    return inTime(this.timeoutMs, `${name} did not settle`, work);
  }

  async end(): Promise<void> {
    for (const subscription of [...this.#subscriptions]) subscription.stop();
    const open = [...this.#backends.values()].filter((backend) => !this.#closed.has(backend));
    await Promise.all(open.map((backend) => this.close(backend)));
  }

  #backend(instance: ContractInstance): Backend {
    const known = this.#backends.get(instance);
    if (known !== undefined) return known;
    const backend = this.harness.createBackend(instance);
    this.#backends.set(instance, backend);
    return backend;
  }
}

/** A case before its deadline is known. */
export type BackendScene = (timeoutMs: number) => BackendContractCase;

export function scene(name: string, play: (stage: BackendStage) => Promise<void>): BackendScene {
  return (timeoutMs) => ({
    name,
    run: async (harness) => {
      const stage = new BackendStage(harness, timeoutMs);
      try {
        await play(stage);
      } finally {
        await stage.end();
      }
    },
  });
}

export function textOf({ content }: Pick<Observation, 'content'>): string {
  assert.ok(content.type === 'bytes', `the key holds ${content.type} and no bytes`);
  return content.bytes.toString();
}

export function digestOf(text: string): { readonly digest: string } {
  return { digest: digest(Buffer.from(text)) };
}

/** How the hints of a write by a backend are labeled for another instance. */
export function originOf({ instance, name }: Backend): { instance: string; name: string } {
  return { instance, name };
}
