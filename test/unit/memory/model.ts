import { expect } from 'vitest';

import {
  type CredentialChange,
  CredentialMemory,
  type CredentialState,
  MemoryCredentialStore,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

const MAX_STALENESS_MS = 30_000;

/** Bytes are `token` or `token@end`; anything that begins with an exclamation mark does not decode. */
export interface Value {
  readonly text: string;
  readonly ttlEnd: number | undefined;
}

/** How a key was at some time, as far as stores can tell such times apart. */
type Phase =
  | { readonly type: 'valid'; readonly text: string; readonly end: number | undefined }
  | { readonly type: 'over' | 'gone' | 'garbage' };

/** The whole truth in a few lines: a map with one key, its ends, and everything that it has been. */
export class Model {
  value: Value | undefined;
  connected = true;
  cutAt = 0;
  clockDoubt = false;
  readonly history: Phase[] = [{ type: 'gone' }];
  #now: number;

  constructor(now: number) {
    this.#now = now;
  }

  get now(): number {
    return this.#now;
  }

  set(value: Value | undefined): void {
    this.value = value;
    this.#note();
  }

  /** The key ends, or what it holds does, whichever comes first; the key is still there in its last millisecond. */
  pass(ms: number): void {
    const target = this.#now + ms;
    const ends = [this.end(), this.value?.ttlEnd];
    for (const end of ends.sort((a, b) => (a ?? Infinity) - (b ?? Infinity))) {
      if (end === undefined || target < end + 1) continue;
      this.#now = Math.max(this.#now, end + 1);
      if (this.value?.ttlEnd === end) this.value = undefined;
      this.#note();
    }
    this.#now = target;
  }

  end(): number | undefined {
    if (this.value === undefined) return undefined;
    const logical = logicalEndOf(this.value.text);
    const { ttlEnd } = this.value;
    return logical === undefined ? ttlEnd : Math.min(logical, ttlEnd ?? Infinity);
  }

  phase(): Phase {
    if (this.value === undefined) return { type: 'gone' };
    const { text } = this.value;
    if (text.startsWith('!')) return { type: 'garbage' };
    const end = this.end();
    return end !== undefined && this.#now >= end + 1
      ? { type: 'over' }
      : { type: 'valid', text, end };
  }

  #note(): void {
    this.history.push(this.phase());
  }
}

function logicalEndOf(text: string): number | undefined {
  const [, end] = text.split('@');
  return end === undefined ? undefined : Number(end);
}

/** What one store has told, beside the store. */
export class Witness {
  readonly store: MemoryCredentialStore<string>;
  readonly changes: CredentialChange<string>[] = [];
  readonly states: CredentialState<string>[] = [];
  readonly credentials: (string | undefined)[] = [];

  constructor(memory: CredentialMemory, abortOnSaved: boolean) {
    this.store = new MemoryCredentialStore<string>({
      key: 'k',
      memory: memory,
      serialize: (text) => text,
      deserialize: (bytes) => {
        const text = bytes.toString('utf8');
        if (text.startsWith('!')) throw new Error('garbage');
        return text;
      },
      expiresAt: logicalEndOf,
      allowEarlyRemoval: true,
      abortOnSaved,
      maxStalenessMs: MAX_STALENESS_MS,
      onCallbackError: () => {},
    });
    this.store.changes$.subscribe((change) => this.changes.push(change));
    this.store.state$.subscribe((state) => this.states.push(state));
    this.store.credentials$.subscribe((one) => this.credentials.push(one));
  }

  /** Holds at any moment, whatever is under way. */
  checkMemory({ now, connected, cutAt }: Model): void {
    const { current, state } = this.store;
    if (current === undefined) return;
    const { expiresAt } = current;
    expect(expiresAt === undefined || now < expiresAt).toBe(true);
    expect(current.signal.aborted).toBe(false);
    expect(state).toEqual({ type: 'present', snapshot: current });
    if (!connected) expect(now - cutAt).toBeLessThan(MAX_STALENESS_MS);
  }

  /** Holds once everything has arrived. */
  checkSettled(model: Model): void {
    this.checkMemory(model);
    if (!model.connected) return;
    const { store } = this;
    const phase = model.phase();
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });
    switch (phase.type) {
      case 'valid':
        // In its last millisecond it is not served any more, and not yet over.
        if (phase.end === undefined || model.now < phase.end) {
          expect(store.current?.credentials).toBe(phase.text);
          expect(store.current?.expiresAt).toBe(phase.end);
          expect(this.credentials.at(-1)).toBe(phase.text);
        } else {
          // Emitted before, or not at all when they came only now.
          expect([phase.text, undefined]).toContain(this.credentials.at(-1));
          expect(store.current).toBeUndefined();
        }
        break;
      case 'garbage':
        expect(store.state.type).toBe('unreadable');
        break;
      case 'over':
        expect(store.state.type).toBe('expired');
        break;
      case 'gone':
        expect(['absent', 'expired']).toContain(store.state.type);
    }
    if (phase.type !== 'valid')
      expect([store.current, this.credentials.at(-1)]).toEqual([undefined, undefined]);
  }

  /** Holds of all that was told: in order, nothing invented, nothing twice. */
  checkHistory(model: Model): void {
    let at = -1;
    for (const [index, change] of this.changes.entries()) {
      // What a store concludes alone, cut off, may turn out to have been moved.
      if (change.source === 'local') continue;
      const found = model.history.findIndex((phase, place) => place > at && matches(change, phase));
      expect(found, `change ${String(index)}, ${change.type}, is not in order`).toBeGreaterThan(at);
      at = found;
    }
    for (const [index, change] of this.changes.entries()) {
      const next = this.changes[index + 1];
      if (next === undefined) continue;
      if (next.previous !== undefined && 'snapshot' in change)
        expect(next.previous).toBe(change.snapshot);
      if (change.type === 'expired') expect(next.type).not.toBe('expired');
      // What came past its end came in silence, and is there to be removed all the same.
      if (change.type === 'cleared' && next.previous === undefined)
        expect(['saved', 'unreadable']).toContain(next.type);
    }
    const valid = new Set(
      this.states.flatMap((state) => (state.type === 'present' ? [state.snapshot] : [])),
    );
    for (const { type, previous } of this.changes) {
      const withdrawn = type !== 'saved' && type !== 'renewed';
      if (withdrawn && previous !== undefined && valid.has(previous))
        expect(previous.signal.aborted).toBe(true);
    }
    for (const [index, one] of this.credentials.entries())
      if (index > 0) expect(one).not.toBe(this.credentials[index - 1]);
  }
}

function matches(change: CredentialChange<string>, phase: Phase): boolean {
  switch (change.type) {
    case 'saved':
    case 'renewed':
      return (
        phase.type === 'valid' &&
        phase.text === change.credentials &&
        phase.end === change.expiresAt
      );
    case 'expired':
      return phase.type === 'over' || phase.type === 'gone';
    case 'cleared':
    case 'evicted':
      return phase.type === 'gone';
    case 'unreadable':
      return phase.type === 'garbage';
  }
}

export interface Real {
  readonly clock: VirtualClock;
  readonly memory: CredentialMemory;
  readonly witnesses: readonly Witness[];
}

export async function setup(stores: number): Promise<{ model: Model; real: Real }> {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const witnesses = Array.from({ length: stores }, (_, n) => new Witness(memory, n === 1));
  await Promise.all(witnesses.map(({ store }) => store.ready()));
  return { model: new Model(clock.now()), real: { clock, memory, witnesses } };
}
