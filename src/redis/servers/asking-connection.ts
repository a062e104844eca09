import type { Redis } from 'ioredis';
import type { Clock } from '../../time/clock.js';
import type { CommandSession } from '../commands/channel.js';
import { readFailure, RedirectedError, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { Reader } from '../commands/reader.js';
import { Writer } from '../commands/writer.js';

/** A connection to the node that a slot is moving to, which serves keys of it only when asked for them in this way. */
class AskingConnection implements CommandConnection {
  readonly oneCommandOnly = true;
  readonly #connection: CommandConnection;
  /** Why Redis would not be asked in this way. */
  refusal: Error | undefined;

  constructor(link: CommandConnection) {
    this.#connection = link;
  }

  get open(): boolean {
    return this.#connection.open;
  }

  /** @param send - sends one command, or a transaction: that is how far the asking reaches */
  call<R>(send: (client: Redis) => Promise<R>): Promise<R> {
    return this.#connection.call((client) => {
      client.call('ASKING').catch((error: unknown) => {
        if (replyWord(error) !== undefined) this.refusal = error as Error;
      });
      return send(client);
    });
  }

  kill(): void {
    this.#connection.kill();
  }
}

/**
 * Uses a connection to the node that a slot is moving to.
 *
 * @throws RefusedError where asking is not allowed, or what `use` throws
 */
export async function asking<R>(
  commanding: CommandSession,
  clock: Clock,
  stageName: () => string,
  use: (commanding: CommandSession) => Promise<R>,
): Promise<R> {
  const link = new AskingConnection(commanding.connection);
  try {
    return await use({
      ...commanding,
      get canAnnounce() {
        return commanding.canAnnounce;
      },
      set canAnnounce(announcing) {
        commanding.canAnnounce = announcing;
      },
      get refusedAt() {
        return commanding.refusedAt;
      },
      set refusedAt(refusedAt) {
        commanding.refusedAt = refusedAt;
      },
      connection: link,
      reader: new Reader(link, clock),
      writer: new Writer(link, stageName),
    });
  } catch (error) {
    // Who was not asked in this way sends back to where it came from.
    throw link.refusal !== undefined && error instanceof RedirectedError
      ? readFailure(link.refusal)
      : error;
  }
}
