import type { Redis } from 'ioredis';
import type { Clock } from '../../time/clock.js';
import type { Commanding } from '../commands/command-channel.js';
import { readFailure, RedirectedError, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { RedisObserver } from '../commands/reader.js';
import { RedisWriting } from '../commands/writer.js';

/** A connection to the node that a slot is moving to, which serves keys of it only when asked for them in this way. */
class AskingLink implements CommandConnection {
  readonly asks = true;
  readonly #link: CommandConnection;
  /** Why Redis would not be asked in this way. */
  refusal: Error | undefined;

  constructor(link: CommandConnection) {
    this.#link = link;
  }

  get open(): boolean {
    return this.#link.open;
  }

  /** @param send - sends one command, or a transaction: that is how far the asking reaches */
  call<R>(send: (client: Redis) => Promise<R>): Promise<R> {
    return this.#link.call((client) => {
      client.call('ASKING').catch((error: unknown) => {
        if (replyWord(error) !== undefined) this.refusal = error as Error;
      });
      return send(client);
    });
  }

  kill(): void {
    this.#link.kill();
  }
}

/**
 * Uses a connection to the node that a slot is moving to.
 *
 * @throws RefusedError where asking is not allowed, or what `use` throws
 */
export async function asking<R>(
  commanding: Commanding,
  clock: Clock,
  stageName: () => string,
  use: (commanding: Commanding) => Promise<R>,
): Promise<R> {
  const link = new AskingLink(commanding.link);
  try {
    return await use({
      ...commanding,
      get announcing() {
        return commanding.announcing;
      },
      set announcing(announcing) {
        commanding.announcing = announcing;
      },
      get refusedAt() {
        return commanding.refusedAt;
      },
      set refusedAt(refusedAt) {
        commanding.refusedAt = refusedAt;
      },
      link,
      observer: new RedisObserver(link, clock),
      writing: new RedisWriting(link, stageName),
    });
  } catch (error) {
    // Who was not asked in this way sends back to where it came from.
    throw link.refusal !== undefined && error instanceof RedirectedError
      ? readFailure(link.refusal)
      : error;
  }
}
