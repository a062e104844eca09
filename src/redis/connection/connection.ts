import type { Redis } from 'ioredis';
import type { Clock } from '../../time/clock.js';
import { withDeadline } from '../../time/timers.js';
import { ConnectionLostError, NotMasterError, replyWord } from '../reply-errors.js';
import { ReplyDeadline, type CallUnderWay } from './reply-deadline.js';
import type { ServerTemplate } from '../client/server-template.js';
import { isReplica } from './hello-reply.js';
import { closeSentinels } from '../client/sentinel.js';
import { openClient } from '../client/template.js';

export interface ConnectionSettings {
  readonly clock: Clock;
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /** How long Redis may take to accept the connection and to answer each command. */
  replyTimeoutMs(): number;
}

/** One connection from its opening to its end. It is never mended: who needs another opens another. */
export class Connection {
  readonly client: Redis;
  /** Whether the other side has to be a master, and is asked. */
  readonly mustBeMaster: boolean;
  readonly #options: ConnectionSettings;
  readonly #closed: Promise<void>;
  #confirmedAt: number;
  #verifiedAt = -Infinity;
  #lastError: Error | undefined;
  readonly #deadline: ReplyDeadline;
  #open = true;
  #killed = false;
  /** Resolves with the end that QUIT brings. */
  #quit: Promise<void> | undefined;

  private constructor(client: Redis, options: ConnectionSettings, mustBeMaster: boolean) {
    this.client = client;
    this.mustBeMaster = mustBeMaster;
    this.#options = options;
    this.#confirmedAt = options.clock.monotonic();
    this.#deadline = new ReplyDeadline(
      options.clock,
      () => options.replyTimeoutMs(),
      () => {
        this.kill();
      },
    );
    // Without a listener ioredis prints errors, and throws some of them.
    client.on('error', (error: Error) => {
      this.#lastError = error;
    });
    this.#closed = new Promise((resolve) => {
      client.once('end', () => {
        this.#open = false;
        closeSentinels(client);
        this.#deadline.stop(new ConnectionLostError(true, this.#lastError));
        resolve();
      });
    });
  }

  /**
   * @param signal - gives the attempt up
   * @throws LinkLostError, NotMasterError, or ioredis's own error when Redis refused the login
   */
  static async open(
    template: ServerTemplate,
    options: ConnectionSettings,
    signal: AbortSignal,
  ): Promise<Connection> {
    // A write whose reply was lost while the store closed may still want to read.
    const isGivenUp = (): boolean => signal.aborted;
    if (isGivenUp()) throw new ConnectionLostError(false);
    const timeoutMs = options.replyTimeoutMs();
    const client = openClient(template, options.name, timeoutMs);
    const link = new Connection(client, options, template.mustBeMaster ?? false);
    const giveUp = (): void => {
      link.kill();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      // ioredis has no deadline for the handshake, only for the connection.
      await withDeadline(
        options.clock,
        link.client.connect(),
        timeoutMs,
        () => new ConnectionLostError(false),
      );
      // A refused SELECT is only reported, and would leave the connection on database 0.
      if (replyWord(link.#lastError) !== undefined) throw new ConnectionLostError(false);
      if (link.mustBeMaster) await link.verify();
    } catch (error) {
      link.kill();
      if (error instanceof NotMasterError) throw error;
      const said = link.#lastError ?? error;
      throw replyWord(said) === undefined
        ? new ConnectionLostError(false, said instanceof Error ? said : undefined)
        : said;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    if (isGivenUp()) {
      link.kill();
      throw new ConnectionLostError(false);
    }
    return link;
  }

  get open(): boolean {
    return this.#open && this.client.status === 'ready';
  }

  /** Whether replies and messages come apart on this connection, so that it can read while it is subscribed. */
  get canReadWhileSubscribed(): boolean {
    return this.client.mode !== 'subscriber';
  }

  /** When the last command was sent that Redis has answered: whatever was pushed before that has arrived. Monotonic. */
  get confirmedAt(): number {
    return this.#confirmedAt;
  }

  /** Whether an answer is being waited for: if it does not come in time, the connection is found dead. */
  get awaited(): boolean {
    return this.#deadline.pending;
  }

  /** Resolves when the connection has ended, by whomever. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /**
   * Sends something and waits for the answer. A connection that does not answer in time is dead, and is destroyed.
   *
   * @throws LinkLostError, or an error reply of Redis as ioredis made it
   */
  call<R>(send: (client: Redis) => Promise<R>): Promise<R> {
    if (!this.open) return Promise.reject(new ConnectionLostError(false, this.#lastError));
    // Not an async function: every read and write comes through here, and mostly through code that never gets warm.
    return new Promise<R>((resolve, reject) => {
      const call = this.#deadline.start(reject);
      const failed = (error: unknown): void => {
        reject(this.#failed(call, error));
      };
      try {
        send(this.client).then((reply) => {
          this.#answered(call);
          resolve(reply);
        }, failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /**
   * One command that proves the link alive and, where that is asked for, the other side a master; a replica ends the link. Who refuses
   * to tell is trusted: HELLO needs no right, but not all that speak like Redis know it.
   *
   * @throws LinkLostError, NotMasterError
   */
  async verify(): Promise<void> {
    let hello: unknown;
    try {
      hello = await this.call((client) =>
        this.mustBeMaster ? client.call('HELLO') : client.ping(),
      );
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH') throw error;
    }
    this.#verifiedAt = this.#options.clock.monotonic();
    if (!isReplica(hello)) return;
    this.kill();
    throw new NotMasterError();
  }

  /** As {@link verify}, unless that was done within `everyMs`. */
  async verifyAfter(everyMs: number): Promise<void> {
    const now = this.#options.clock.monotonic();
    if (!this.mustBeMaster || now - this.#verifiedAt < everyMs) return;
    // Whoever comes meanwhile goes without: one question is enough.
    this.#verifiedAt = now;
    await this.verify();
  }

  /** Ends the connection without a word. */
  kill(): void {
    this.#open = false;
    this.#deadline.stop(new ConnectionLostError(true, this.#lastError));
    // Every call under way kills a lost link, and each disconnect() adds a listener to the socket. On a connection that has ended it
    // would leave a timer behind that holds the process for two seconds.
    if (!this.#killed && this.client.status !== 'end') this.client.disconnect();
    this.#killed = true;
    // disconnect() waits for the other side to close too, which a dead one never does.
    (this.client as { stream?: { destroy(): void } }).stream?.destroy();
  }

  /** Lets replies under way arrive, then ends the connection; at the latest after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    if (this.open) {
      this.#quit = this.client.quit().then(() => this.#closed);
      // Redis executes nothing that comes after QUIT: whoever has something to send must not believe that it was sent.
      this.#open = false;
    }
    if (this.#quit !== undefined && !this.#killed) {
      const late = (): Error => new ConnectionLostError(true);
      const deadlineMs = Math.min(timeoutMs, this.#options.replyTimeoutMs());
      await withDeadline(this.#options.clock, this.#quit, deadlineMs, late).catch(() => undefined);
    }
    this.kill();
  }

  #answered(call: CallUnderWay): void {
    this.#deadline.end(call);
    this.#confirmedAt = Math.max(this.#confirmedAt, call.sentAt);
  }

  /** What the caller is told. */
  #failed(call: CallUnderWay, error: unknown): Error {
    const word = replyWord(error);
    if (word !== undefined) this.#answered(call);
    else this.#deadline.end(call);
    // It was opened without a password and stays locked out; the next one takes the password of then.
    if (word === undefined || word === 'NOAUTH') this.kill();
    return word !== undefined || error instanceof ConnectionLostError
      ? (error as Error)
      : new ConnectionLostError(true, this.#lastError);
  }
}

/** As much of a link as is needed to send commands. */
export type CommandConnection = Pick<Connection, 'open' | 'call' | 'kill'> & {
  /** Whether every call has to be one command or one transaction. */
  readonly asks?: true;
};
