import type fc from 'fast-check';
import { expect } from 'vitest';

import {
  type AttemptRequest,
  type Clock,
  CredentialMemory,
  MemoryCredentialStore,
  Reauthenticator,
} from 'credstream';

import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import type { Token } from './world.js';

const KEY = 'k';
export const LEASE_MS = 3_000;
const LIFETIME_MS = 20_000;

export type Outcome = 'new' | 'unchanged' | 'fails' | 'fatal' | 'hangs';

/** The numbers of clears and of losses so far. */
interface Past {
  readonly clears: number;
  readonly losses: number;
}

interface Call {
  readonly instance: number;
  readonly previous: string | undefined;
  /** What had happened when its instance got the lease. */
  readonly since: Past;
  settled: boolean;
  brought: string | undefined;
}

interface ShuffledInstance {
  readonly store: MemoryCredentialStore<Token>;
  readonly auth: Reauthenticator<Token>;
  crashed: boolean;
}

/** Time stands still until it is moved; turns of the event loop come in whatever order the scheduler likes. */
class ShuffledClock implements Clock {
  #at = 0;
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  readonly #scheduler: fc.Scheduler;

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
  }

  get pendingTimers(): number {
    return this.#timers.length;
  }

  now(): number {
    return 2e12 + this.#at;
  }

  monotonic(): number {
    return this.#at;
  }

  setTimer(run: () => void, delayMs: number): () => void {
    const timer = { at: this.#at + delayMs, run };
    this.#timers.push(timer);
    this.#timers.sort((a, b) => a.at - b.at);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  nextTurn(run: () => void): void {
    void this.#scheduler.schedule(Promise.resolve(), 'turn').then(run);
  }

  /** Fires the next timer that is due by then; says whether there was one. */
  step(until: number): boolean {
    const first = this.#timers[0];
    const due = first !== undefined && first.at <= until;
    this.#at = Math.max(this.#at, due ? first.at : until);
    if (!due) return false;
    this.#timers.shift();
    first.run();
    return true;
  }

  advance(ms: number): void {
    const until = this.#at + ms;
    while (this.step(until));
  }
}

/** Instances on one memory, and a provider whose refresh tokens can be spent once; watches over what must never happen. */
export class ShuffledWorld {
  readonly clock: ShuffledClock;
  readonly memory: CredentialMemory;
  readonly instances: ShuffledInstance[];
  readonly calls: Call[] = [];
  readonly started = new Set<string>();
  readonly demands: { readonly instance: ShuffledInstance; settled: boolean }[] = [];
  readonly violations: string[] = [];
  /** What the provider does next; when there is no more, it works, and what it gives has no end. */
  outcomes: Outcome[];
  readonly #person: MemoryCredentialStore<Token>;
  readonly #scheduler: fc.Scheduler;
  #tokens = 0;
  #past: Past = { clears: 0, losses: 0 };
  readonly #since = new Map<number, Past>();

  constructor(scheduler: fc.Scheduler, count: number, outcomes: readonly Outcome[]) {
    this.#scheduler = scheduler;
    this.clock = new ShuffledClock(scheduler);
    this.memory = new CredentialMemory({ clock: this.clock, random: () => 0.5 });
    this.outcomes = [...outcomes];
    this.#person = this.#open();
    this.save();
    this.#guardWrites();
    this.instances = Array.from({ length: count }, (_, which) => this.#instance(which));
  }

  get stored(): string | undefined {
    const bytes = this.memory.get(KEY);
    return bytes && (JSON.parse(bytes.toString()) as Token).token;
  }

  save(): void {
    this.memory.set(KEY, JSON.stringify(this.#token('saved', LIFETIME_MS)));
  }

  clear(): void {
    void this.#person.clear().then(
      () => undefined,
      () => undefined,
    );
  }

  remove(how: 'delete' | 'evict' | 'flush'): void {
    if (how !== 'delete') this.#past = { ...this.#past, losses: this.#past.losses + 1 };
    if (how === 'flush') this.memory.flush();
    else this.memory[how](KEY);
  }

  reject(which: number): void {
    const { auth, store, crashed } = this.#at(which);
    if (!crashed && store.current !== undefined) auth.reject(store.current);
  }

  demand(which: number, minValidityMs: number): void {
    const instance = this.#at(which);
    const demand = { instance, settled: false };
    this.demands.push(demand);
    const settle = (): void => {
      demand.settled = true;
    };
    instance.auth.credentials({ minValidityMs, timeoutMs: Infinity }).then(settle, settle);
  }

  /** From now on nothing that it says arrives, and nothing is answered. */
  crash(which: number): void {
    if (this.instances.filter(({ crashed }) => !crashed).length === 1) return;
    const instance = this.#at(which);
    instance.crashed = true;
    const { backend } = internalsOf(instance.store);
    const never = (): Promise<never> => new Promise(() => undefined);
    backend.swap = never;
  }

  /** Lets everything come to rest in a world where all works. */
  async heal(): Promise<void> {
    this.outcomes = [];
    this.memory.reconnect();
    await this.#scheduler.waitIdle();
    const until = this.clock.monotonic() + 600_000;
    while (this.clock.step(until)) await this.#scheduler.waitIdle();
  }

  async close(): Promise<void> {
    const closing = [...this.instances.map(({ store }) => store), this.#person].map((store) =>
      store.close(),
    );
    await this.#scheduler.waitIdle();
    const until = this.clock.monotonic() + 100_000;
    while (this.clock.step(until)) await this.#scheduler.waitIdle();
    await Promise.all(closing);
    expect(this.clock.pendingTimers).toBe(0);
  }

  #at(which: number): ShuffledInstance {
    return this.instances[which % this.instances.length]!;
  }

  #open(): MemoryCredentialStore<Token> {
    return new MemoryCredentialStore<Token>({
      key: KEY,
      memory: this.memory,
      expiresAt: ({ expiresAt }) => expiresAt,
    });
  }

  #instance(which: number): ShuffledInstance {
    const store = this.#open();
    const { backend } = internalsOf(store);
    const swap = backend.swap.bind(backend);
    backend.swap = async (request) => {
      const answer = await swap(request);
      const { record } = request.change ?? {};
      // Renewals store a running attempt too, but no new one.
      const begins = record?.outcome === 'running' && !this.started.has(record.id);
      if (answer === 'swapped' && begins) {
        this.started.add(record.id);
        this.#since.set(which, this.#past);
      }
      return answer;
    };
    const auth = new Reauthenticator<Token>(store, {
      refresh: (request) => this.#provide(which, request, request.previous),
      login: (request) => this.#provide(which, request, undefined),
      leadMs: 5_000,
      leaseMs: LEASE_MS,
      attemptTimeoutMs: 8_000,
      backOffMs: 500,
      maxBackOffMs: 4_000,
      minIntervalMs: 100,
    });
    return { store, auth, crashed: false };
  }

  #token(kind: string, inMs: number | undefined): Token {
    this.#tokens += 1;
    const token = `${kind} ${String(this.#tokens)}`;
    return inMs === undefined ? { token } : { token, expiresAt: this.clock.now() + inMs };
  }

  async #provide(
    instance: number,
    { inDoubt }: AttemptRequest,
    old: Token | undefined,
  ): Promise<Token> {
    const previous = old?.token;
    const call: Call = {
      instance,
      previous,
      since: this.#since.get(instance)!,
      settled: false,
      brought: undefined,
    };
    const same = this.calls.filter((one) => previous !== undefined && one.previous === previous);
    this.calls.push(call);
    // The record of the other one may be lost with the data; else it warns.
    const warned = (one: Call): boolean => inDoubt || one.since.losses < this.#past.losses;
    if (same.some((one) => one.brought !== undefined && !warned(one)))
      this.violations.push(`${String(previous)} was spent twice without a doubt`);
    if (same.some((one) => !one.settled && !warned(one)))
      this.violations.push(`${String(previous)} was being spent by two without a doubt`);
    const outcome = this.outcomes.shift();
    await this.#scheduler.schedule(Promise.resolve(), 'provider');
    if (outcome === 'hangs') return new Promise(() => undefined);
    call.settled = true;
    if (outcome === 'fails') throw new Error('provider down');
    if (outcome === 'fatal') throw Object.assign(new Error('refused'), { error: 'invalid_grant' });
    // Only what nobody spends can be given once more.
    if (outcome === 'unchanged' && old !== undefined && same.length === 0) return old;
    const token = this.#token('brought', outcome === undefined ? undefined : LIFETIME_MS);
    call.brought = token.token;
    return token;
  }

  /** Every write to the key, in the moment in which it happens. */
  #guardWrites(): void {
    const { memory } = this;
    const put = memory.put.bind(memory);
    memory.put = (key, bytes, end) => {
      if (key === KEY) this.#check(JSON.parse(bytes.toString()) as Token);
      if (key.startsWith('credstream:cleared:'))
        this.#past = { ...this.#past, clears: this.#past.clears + 1 };
      put(key, bytes, end);
    };
  }

  #check({ token }: Token): void {
    const call = this.calls.find(({ brought }) => brought === token);
    const { stored } = this;
    if (call === undefined || stored === token) return;
    const complain = (what: string): void => {
      this.violations.push(`${token}, brought for ${String(call.previous)}, ${what}`);
    };
    if (stored !== undefined && stored !== call.previous) complain(`overwrote ${stored}`);
    if (stored !== undefined) return;
    const { clears, losses } = call.since;
    const lost = losses < this.#past.losses;
    if (clears < this.#past.clears && !lost) complain('undid a clear');
  }
}
