import { inspect, type InspectOptions } from 'node:util';
import type { UpdateReceipt } from './credential-store.js';

/** Shows its credentials only to who asks for them by name, not to who logs or serializes it. */
export class HeldUpdate<T> implements UpdateReceipt<T> {
  readonly written: boolean;
  readonly attempts: number;
  readonly #credentials: T | undefined;

  constructor(written: boolean, credentials: T | undefined, attempts: number) {
    this.written = written;
    this.#credentials = credentials;
    this.attempts = attempts;
  }

  get credentials(): T | undefined {
    return this.#credentials;
  }

  toJSON(): object {
    return { written: this.written, credentials: '[hidden]', attempts: this.attempts };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `UpdateReceipt ${inspect(this.toJSON(), options)}`;
  }
}
