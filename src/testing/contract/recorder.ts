import { strict as assert } from 'node:assert';
import type { Observable, Subscription } from 'rxjs';
import type { CredentialChange, CredentialChangeType } from '../../credential/change.js';

/** Captured before a test runner can replace them: deadlines of the contract are real, also where the stores' time is virtual. */
const realSetTimer = setTimeout;
const realClearTimer = clearTimeout;

/** Settles as `work` does, or rejects when that takes longer in real time. */
export async function inTime<R>(timeoutMs: number, missed: string, work: Promise<R>): Promise<R> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = realSetTimer(() => {
      reject(new assert.AssertionError({ message: `${missed} within ${String(timeoutMs)} ms` }));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    realClearTimer(timer);
  }
}

/** The values that a stream emitted, taken one after the other. */
export class Recorder<V> {
  readonly values: V[] = [];
  completed = false;
  readonly #timeoutMs: number;
  readonly #subscription: Subscription;
  #taken = 0;
  #wake: () => void = () => undefined;

  constructor(source$: Observable<V>, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#subscription = source$.subscribe({
      next: (value) => {
        this.values.push(value);
        this.#wake();
      },
      complete: () => {
        this.completed = true;
      },
    });
  }

  /** The values that have arrived and are not taken yet. */
  get rest(): readonly V[] {
    return this.values.slice(this.#taken);
  }

  /** The next value that `wanted` accepts; others are skipped. */
  async take(wanted: (value: V) => boolean = () => true): Promise<V> {
    for (;;) {
      const index = this.values.findIndex((value, at) => at >= this.#taken && wanted(value));
      const value = this.values[index];
      if (index >= 0) {
        this.#taken = index + 1;
        return value as V;
      }
      const more = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await inTime(this.#timeoutMs, 'no awaited value came', more);
    }
  }

  stop(): void {
    this.#subscription.unsubscribe();
  }
}

/** The changes of a store; each taken one must be of the expected type. */
export class Changes<T> extends Recorder<CredentialChange<T>> {
  async expect<Type extends CredentialChangeType>(
    type: Type,
  ): Promise<Extract<CredentialChange<T>, { type: Type }>> {
    const change = await this.take();
    assert.equal(change.type, type, `the next change is '${change.type}' instead of '${type}'`);
    return change as Extract<CredentialChange<T>, { type: Type }>;
  }

  get types(): readonly CredentialChangeType[] {
    return this.values.map(({ type }) => type);
  }
}
