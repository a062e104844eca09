import type { AttemptBackend } from '../../backend/attempts.js';
import type { Clock } from '../../time/clock.js';
import type {
  CredentialBackend,
  HintFeed,
  Observation,
  RemoveRequest,
  WriteRequest,
} from '../../backend/backend.js';
import type { OptionKinds } from '../../util/option-sharing.js';

/** The backend as the credentials of a directory see it: their hints come by the directory's one subscription, at its pace. */
export class DirectoryBackend implements CredentialBackend {
  readonly hints: HintFeed;
  readonly clock: Clock;
  readonly #backend: CredentialBackend;

  constructor(backend: CredentialBackend, hints: HintFeed, clock: Clock) {
    this.#backend = backend;
    this.hints = hints;
    this.clock = clock;
  }

  get kinds(): OptionKinds {
    return this.#backend.kinds;
  }

  get node(): string {
    return this.#backend.node;
  }

  get random(): () => number {
    return this.#backend.random;
  }

  get attempts(): AttemptBackend {
    return this.#backend.attempts;
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    return this.#backend.observe(key, maxBytes);
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#backend.keys(prefix);
  }

  write(request: WriteRequest): Promise<{ readonly announced: boolean }> {
    return this.#backend.write(request);
  }

  remove(
    request: RemoveRequest,
  ): Promise<{ readonly removed: boolean; readonly announced: boolean }> {
    return this.#backend.remove(request);
  }

  /** The directory closes it. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
