import { expect } from 'vitest';

import {
  CredentialMemory,
  type LoginRequest,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
  Reauthenticator,
  type ReauthenticatorOptions,
  type ReauthenticationState,
  type RefreshRequest,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { AttemptVerbs } from '../../../src/backend/attempt-verbs.js';
import type { EndAttempt } from '../../../src/backend/attempts.js';
import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import { type Deferred, deferred } from '../../support/wait.js';

export const HOUR = 3_600_000;
export const LEASE = 15_000;
/** More than instances come apart after a lease. */
export const SPREAD = 500;

export interface Token {
  readonly token: string;
  readonly expiresAt?: number;
}

/** A call of `refresh` or `login` that the test answers. */
export interface Call {
  readonly request: RefreshRequest<Token> | LoginRequest;
  readonly instance: number;
  answer(token: Token): void;
  fail(error: unknown): void;
}

export interface Instance {
  readonly store: MemoryCredentialStore<Token>;
  readonly auth: Reauthenticator<Token>;
  readonly states: ReauthenticationState[];
  readonly callbackErrors: [error: unknown, where: string][];
}

export type InstanceOptions = Partial<ReauthenticatorOptions<Token>> & {
  readonly store?: Partial<MemoryCredentialStoreOptions<Token>>;
};

export class World {
  readonly clock = new VirtualClock();
  readonly memory: CredentialMemory;
  readonly instances: Instance[] = [];
  readonly calls: Call[] = [];
  /** Somebody who saves and clears as people do, and re-authenticates never. */
  readonly person: MemoryCredentialStore<Token>;
  readonly #options: InstanceOptions;

  constructor(options: InstanceOptions = {}, random: () => number = () => 0) {
    this.memory = new CredentialMemory({ clock: this.clock, random });
    this.#options = options;
    this.person = this.#open({});
  }

  #open(options: Partial<MemoryCredentialStoreOptions<Token>>): MemoryCredentialStore<Token> {
    return new MemoryCredentialStore<Token>({
      key: 'k',
      memory: this.memory,
      expiresAt: ({ expiresAt }) => expiresAt,
      ...options,
    });
  }

  /** Another instance, that has seen what is stored. */
  async instance(options: InstanceOptions = {}): Promise<Instance> {
    const { store: storeOptions, ...given } = { ...this.#options, ...options };
    const callbackErrors: Instance['callbackErrors'] = [];
    const store = this.#open({
      onCallbackError: (error, where) => callbackErrors.push([error, where]),
      ...storeOptions,
    });
    const which = this.instances.length;
    const auth = new Reauthenticator<Token>(store, {
      refresh: (request) => this.#ask(which, request),
      login: (request) => this.#ask(which, request),
      ...given,
    });
    const states: ReauthenticationState[] = [];
    auth.state$.subscribe((state) => states.push(state));
    const instance: Instance = { store, auth, states, callbackErrors };
    this.instances.push(instance);
    await this.clock.settle();
    return instance;
  }

  #ask(instance: number, request: Call['request']): Promise<Token> {
    const { promise, resolve, reject }: Deferred<Token> = deferred();
    this.calls.push({ request, instance, answer: resolve, fail: reject });
    return promise;
  }

  async several(count: number, options: InstanceOptions = {}): Promise<Instance[]> {
    const made: Instance[] = [];
    for (let n = 0; n < count; n += 1) made.push(await this.instance(options));
    return made;
  }

  /** A token that ends so long from now. */
  token(token: string, inMs?: number): Token {
    return inMs === undefined ? { token } : { token, expiresAt: this.clock.now() + inMs };
  }

  /** What a person saves. */
  async put(token: string, inMs?: number): Promise<void> {
    await this.person.save(this.token(token, inMs));
    await this.clock.settle();
  }

  get stored(): string | undefined {
    const bytes = this.memory.get('k')?.toString();
    return bytes === undefined ? undefined : (JSON.parse(bytes) as Token).token;
  }

  /** The last call; there must be so many. */
  call(count: number): Call {
    expect(this.calls).toHaveLength(count);
    return this.calls.at(-1)!;
  }

  async answer(count: number, token: string, inMs?: number): Promise<void> {
    this.call(count).answer(this.token(token, inMs));
    await this.clock.settle();
  }

  async fail(count: number, error: unknown): Promise<void> {
    this.call(count).fail(error);
    await this.clock.settle();
  }

  /** What the memory remembers of the last attempt. */
  get record(): Record<string, unknown> | undefined {
    const text = this.memory.get('credstream:attempt:k')?.toString();
    return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
  }

  /** The verbs as an instance without a reauthenticator would say them. */
  get attempts(): AttemptVerbs {
    return new AttemptVerbs(internalsOf(this.person).backend);
  }

  /** An attempt of an instance that will never say anything again. */
  async startAndDie(id = 'dead', leaseMs = LEASE): Promise<void> {
    const start = await this.attempts.start({
      key: 'k',
      id,
      leaseMs,
      minIntervalMs: 10,
      endsAt: undefined,
      clearedBefore: undefined,
    });
    expect(start.type).toBe('started');
  }

  end(id: string, outcome: EndAttempt['outcome']): Promise<void> {
    return this.attempts.end({
      key: 'k',
      id,
      outcome,
      number: 1,
      failures: 1,
      pauseMs: 0,
      endsAt: undefined,
      oauthError: undefined,
    });
  }

  /** Closes everything; nothing may be left. */
  async close(): Promise<void> {
    const closing = Promise.all([...this.instances, this].map((one) => closeOne(one)));
    await this.clock.advance(20_000);
    await closing;
    await this.clock.settle();
    expect(this.clock.pendingTimers).toBe(0);
  }
}

function closeOne(one: Instance | World): Promise<void> {
  return 'person' in one ? one.person.close() : one.store.close();
}

/** What a promise has come to, without waiting for it. */
export function watch<R>(promise: Promise<R>): { value?: R; error?: unknown; settled: boolean } {
  const seen: { value?: R; error?: unknown; settled: boolean } = { settled: false };
  promise.then(
    (value) => {
      seen.value = value;
      seen.settled = true;
    },
    (error: unknown) => {
      seen.error = error;
      seen.settled = true;
    },
  );
  return seen;
}
