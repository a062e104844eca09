import type { Redis } from 'ioredis';
import type { Clock } from '../../time/clock.js';
import type { CommandSession } from '../commands/channel.js';
import { readFailure, RedirectedError, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { Reader } from '../commands/reader.js';

/** A connection to the target of a moving slot, which serves keys of that slot only after ASKING. */
class AskingConnection implements CommandConnection {
  readonly oneCommandOnly = true;
  readonly #connection: CommandConnection;
  /** The error by which Redis refused ASKING. */
  refusal: Error | undefined;

  constructor(connection: CommandConnection) {
    this.#connection = connection;
  }

  get open(): boolean {
    return this.#connection.open;
  }

  get source(): CommandConnection['source'] {
    return this.#connection.source;
  }

  /** @param send - sends one command, or one transaction: ASKING holds for no more */
  call<R>(
    send: (client: Redis, question: number) => Promise<unknown>,
    parse: (reply: unknown, question: number) => R,
  ): Promise<R> {
    return this.#connection.call((client, question) => {
      client.call('ASKING').catch((error: unknown) => {
        if (replyWord(error) !== undefined) this.refusal = error as Error;
      });
      return send(client, question);
    }, parse);
  }

  kill(): void {
    this.#connection.kill();
  }
}

/**
 * Uses a connection to the target of a moving slot.
 *
 * @throws RefusedError where ASKING is not permitted, or the error of `use`
 */
export async function asking<R>(
  session: CommandSession,
  clock: Clock,
  use: (session: CommandSession) => Promise<R>,
): Promise<R> {
  const connection = new AskingConnection(session.connection);
  try {
    return await use({
      ...session,
      get canAnnounce() {
        return session.canAnnounce;
      },
      set canAnnounce(announcing) {
        session.canAnnounce = announcing;
      },
      get refusedAt() {
        return session.refusedAt;
      },
      set refusedAt(refusedAt) {
        session.refusedAt = refusedAt;
      },
      connection: connection,
      reader: new Reader(connection, clock),
      writer: session.writer.over(connection),
    });
  } catch (error) {
    // Without ASKING the target replies MOVED to the source.
    throw connection.refusal !== undefined && error instanceof RedirectedError
      ? readFailure(connection.refusal)
      : error;
  }
}
