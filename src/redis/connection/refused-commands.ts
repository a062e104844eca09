import type { Clock } from '../../time/clock.js';
import { isPassing, replyWord } from '../reply-errors.js';

/** The permission may have been granted after so long. */
const AGAIN_MS = 60_000;

/** The most refusals to remember. The oldest is forgotten first: its command is sent again earlier. */
const MOST = 1_000;

/**
 * The commands that Redis has refused on one connection, whatever their arguments or for one key. They are sent again now and then and not with every heartbeat:
 * Redis writes each refusal into a log that people read.
 */
export class RefusedCommands {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #refusedAt = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  mayTry(name: string): boolean {
    const refusedAt = this.#refusedAt.get(name);
    return refusedAt === undefined || this.#clock.monotonic() - refusedAt >= AGAIN_MS;
  }

  /**
   * Notes a refusal of the command.
   *
   * @returns the reply, or `undefined` for a refusal
   * @throws the error of a lost connection, NOAUTH, and a passing error reply
   */
  async attempt<R>(name: string, reply: Promise<R>): Promise<R | undefined> {
    try {
      const answer = await reply;
      this.#refusedAt.delete(name);
      return answer;
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH' || isPassing(word)) throw error;
      this.refused(name);
      return undefined;
    }
  }

  /** Redis refused the command. */
  refused(name: string): void {
    this.#refusedAt.delete(name);
    this.#refusedAt.set(name, this.#clock.monotonic());
    const [oldest] = this.#refusedAt.keys();
    if (this.#refusedAt.size > MOST && oldest !== undefined) this.#refusedAt.delete(oldest);
  }
}
