import type { AttemptVerbs } from '../../backend/attempt-verbs.js';
import type { AttemptSwap, AttemptView } from '../../backend/attempts.js';
import type { Clock } from '../../time/clock.js';
import type {
  Backend,
  HintFeed,
  Observation,
  RemoveRequest,
  WriteRequest,
} from '../../backend/backend.js';
import type { OptionSharing } from '../../util/option-sharing.js';

/** The backend as the credentials of a directory see it: their hints come by the directory's one subscription, at its pace. */
export class PrefixBackend implements Backend {
  readonly hints: HintFeed;
  readonly clock: Clock;
  readonly #backend: Backend;

  constructor(backend: Backend, hints: HintFeed, clock: Clock) {
    this.#backend = backend;
    this.hints = hints;
    this.clock = clock;
  }

  get sharing(): OptionSharing {
    return this.#backend.sharing;
  }

  get name(): string {
    return this.#backend.name;
  }

  get instance(): string {
    return this.#backend.instance;
  }

  get random(): () => number {
    return this.#backend.random;
  }

  get replyTimeoutMs(): number {
    return this.#backend.replyTimeoutMs;
  }

  get attempts(): AttemptVerbs {
    return this.#backend.attempts;
  }

  swap(request: AttemptSwap): Promise<AttemptView | 'swapped'> {
    return this.#backend.swap(request);
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#backend.read(key, maxBytes);
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
