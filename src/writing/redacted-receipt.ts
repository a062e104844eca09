import { inspect, type InspectOptions } from 'node:util';
import type { UpdateReceipt } from '../credential/contract.js';
import type { RefusedError, UnavailableError } from '../errors.js';

/** Shows its credentials by name only, never to logging or serialization. */
export class RedactedReceipt<T> implements UpdateReceipt<T> {
  readonly written: boolean;
  readonly attempts: number;
  readonly replicas?: number | undefined;
  readonly replicasError?: RefusedError | UnavailableError | undefined;
  readonly #credentials: T | undefined;

  constructor(
    written: boolean,
    credentials: T | undefined,
    attempts: number,
    replication: Pick<UpdateReceipt<T>, 'replicas' | 'replicasError'> = {},
  ) {
    this.written = written;
    this.#credentials = credentials;
    this.attempts = attempts;
    if (replication.replicas === undefined) return;
    this.replicas = replication.replicas;
    this.replicasError = replication.replicasError;
  }

  get credentials(): T | undefined {
    return this.#credentials;
  }

  toJSON(): object {
    const { written, attempts, replicas } = this;
    return {
      written,
      credentials: '[hidden]',
      attempts,
      ...(replicas !== undefined && { replicas }),
    };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `UpdateReceipt ${inspect(this.toJSON(), options)}`;
  }
}
