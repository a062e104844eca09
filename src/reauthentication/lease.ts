import type { RenewAttempt } from '../attempts.js';
import type { CredentialBackend } from '../credential-backend.js';
import { after } from '../waiting.js';

/** Keeps the lease of one attempt while it runs, and tells when another node has started. */
export class Lease {
  readonly #backend: CredentialBackend;
  readonly #request: RenewAttempt;
  readonly #superseded: () => void;
  #cancelTimer: (() => void) | undefined;
  #dropped = false;

  constructor(backend: CredentialBackend, request: RenewAttempt, superseded: () => void) {
    this.#backend = backend;
    this.#request = request;
    this.#superseded = superseded;
  }

  keep(): void {
    this.#cancelTimer = after(this.#backend.clock, this.#request.leaseMs / 3, () => {
      void this.#renew();
    });
  }

  drop(): void {
    this.#dropped = true;
    this.#cancelTimer?.();
  }

  async #renew(): Promise<void> {
    try {
      const answer = await this.#backend.attempts.renew(this.#request);
      if (this.#dropped || answer === 'ended') return;
      if (answer === 'superseded') {
        this.#superseded();
        return;
      }
    } catch {
      // Redis may answer the next time, and until somebody else starts nothing is lost.
      if (this.#dropped) return;
    }
    this.keep();
  }
}
