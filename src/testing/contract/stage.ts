import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import type { Observable } from 'rxjs';
import type { ObservableCredentialStore } from '../../stores/observable-credential-store.js';
import { isCredstreamError, type AnyCredstreamError } from '../../errors.js';
import type { CredentialStoreOptions } from '../../stores/options.js';
import type { ContractCase, ContractHarness, ContractInstance, OutsideClient } from './harness.js';
import { Changes, inTime, Recorder } from './recorder.js';

/** The credentials of the contract. */
export interface Token {
  readonly token: string;
  /** Epoch milliseconds. */
  readonly expiresAt?: number;
}

/** Stands for a secret; a representation that shows it leaks. */
export const CANARY = 'canary-7f3a';

export const HOUR_MS = 3_600_000;

/** The largest distance of an end from the requested one: both sides round, and commands travel. */
const SLACK_MS = 1_000;

type StoreOptions<T> = Partial<CredentialStoreOptions<T>> & {
  readonly instance?: ContractInstance;
};

export interface Watched<T> {
  readonly store: ObservableCredentialStore<T>;
  readonly changes: Changes<T>;
}

/** The surroundings of one case: a key of its own, and its stores, which close with it. */
export class Stage {
  readonly key: string = `contract:${randomUUID()}`;
  readonly #harness: ContractHarness;
  readonly #timeoutMs: number;
  readonly #stores: ObservableCredentialStore<never>[] = [];
  readonly #recorders: Recorder<never>[] = [];

  constructor(harness: ContractHarness, timeoutMs: number) {
    this.#harness = harness;
    this.#timeoutMs = timeoutMs;
  }

  get outside(): OutsideClient {
    return this.#harness.outside;
  }

  store<T = Token>(options: StoreOptions<T> = {}): ObservableCredentialStore<T> {
    const { instance = 'first', ...rest } = options;
    const store = this.#harness.createStore<T>(instance, { key: this.key, ...rest });
    this.#stores.push(store as unknown as ObservableCredentialStore<never>);
    return store;
  }

  /** A live store, and its changes from then on. */
  async watch<T = Token>(options: StoreOptions<T> = {}): Promise<Watched<T>> {
    const store = this.store<T>(options);
    const changes = this.#keep(new Changes<T>(store.changes$, this.#timeoutMs));
    await this.inTime('ready', store.ready());
    return { store, changes };
  }

  record<V>(source$: Observable<V>): Recorder<V> {
    return this.#keep(new Recorder(source$, this.#timeoutMs));
  }

  inTime<R>(name: string, work: Promise<R>): Promise<R> {
    return inTime(this.#timeoutMs, `${name} did not settle`, work);
  }

  /** Lets time pass until `work` has settled. */
  async passing<R>(work: Promise<R>): Promise<R> {
    const state = { pending: true };
    const settle = (): void => {
      state.pending = false;
    };
    work.then(settle, settle);
    const deadline = performance.now() + this.#timeoutMs;
    while (state.pending && performance.now() < deadline) await this.advance(5);
    return this.inTime('it', work);
  }

  advance(ms: number): Promise<void> {
    return this.#harness.advance(ms);
  }

  async now(): Promise<number> {
    return this.#harness.now();
  }

  /** Lets time pass up to an instant of the place's clock, and a little further. */
  async reach(instant: number): Promise<void> {
    const left = instant - (await this.now());
    if (left >= 0) await this.advance(Math.ceil(left) + 2);
  }

  async end(): Promise<void> {
    for (const recorder of this.#recorders) recorder.stop();
    const closed = this.#stores.map((store) => this.inTime('close', store.close()));
    await Promise.all(closed);
  }

  #keep<R extends { stop(): void }>(recorder: R): R {
    this.#recorders.push(recorder as unknown as Recorder<never>);
    return recorder;
  }
}

export type Play = (stage: Stage) => Promise<void>;

/** A case before its deadlines are known. */
export type Scene = (timeoutMs: number) => ContractCase;

export function scene(name: string, play: Play): Scene {
  return (timeoutMs) => ({
    name,
    run: async (harness) => {
      const stage = new Stage(harness, timeoutMs);
      try {
        await play(stage);
      } finally {
        await stage.end();
      }
    },
  });
}

/** The serialized form of a token, as any client may write it. */
export function bytesOf(token: string): string {
  return JSON.stringify({ token });
}

/** `assert.equal` would narrow the type of a getter, which may return another value the next time. */
export function assertNothing(value: unknown): void {
  assert.equal(value, undefined);
}

export function assertAbout(actual: number | undefined, expected: number): void {
  assert.ok(actual !== undefined, `there is no end, and it should be about ${String(expected)}`);
  assert.ok(Math.abs(actual - expected) <= SLACK_MS, `${String(actual)} ≉ ${String(expected)}`);
}

/** The error of this package that `work` throws or rejects with, which shows no secret. */
export async function failure<Code extends AnyCredstreamError['code']>(
  code: Code,
  work: () => unknown,
): Promise<Extract<AnyCredstreamError, { code: Code }>> {
  let caught: unknown;
  try {
    await work();
  } catch (error) {
    caught = error;
  }
  return asFailure(code, caught);
}

export function asFailure<Code extends AnyCredstreamError['code']>(
  code: Code,
  caught: unknown,
): Extract<AnyCredstreamError, { code: Code }> {
  if (caught instanceof assert.AssertionError) throw caught;
  assert.ok(
    isCredstreamError(caught),
    `no error of this package, but one with code ${code} is due`,
  );
  assert.equal(caught.code, code, caught.message);
  assertHides(caught);
  return caught as Extract<AnyCredstreamError, { code: Code }>;
}

/** Checks that no representation of a value shows the canary. */
export function assertHides(value: unknown): void {
  const shown = [
    inspect(value, { depth: 8, showHidden: true }),
    inspect(value, { depth: 0 }),
    String(value),
    asJson(value),
    asJson({ ...(value as object) }),
  ];
  if (value instanceof Error) shown.push(value.stack ?? '', inspect(value.cause));
  for (const text of shown) assert.ok(!text.includes(CANARY), 'a secret shows');
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    // A value that cannot be serialized cannot leak that way.
    return '';
  }
}
