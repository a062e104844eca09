import type { Redis } from 'ioredis';
import { inRootContext } from '../../time/async-context.js';
import type { Clock } from '../../time/clock.js';
import { withDeadline } from '../../time/timers.js';
import {
  ConnectionLostError,
  NotMasterError,
  replyWord,
  withSource,
  type ReplySource,
} from '../reply-errors.js';
import { addressOf } from '../client/address.js';
import { RefusedConnection } from './refused-connection.js';
import { ReplyDeadline, type PendingCall } from './reply-deadline.js';
import { RefusedCommands } from './refused-commands.js';
import { ReplyProof } from './reply-proof.js';
import type { ServerTemplate } from '../client/server-template.js';
import { replyHello, replyPong } from './hello-reply.js';
import { replyCount } from '../reply-parser.js';
import { closeSentinels } from '../client/known-sentinels.js';
import { openClient } from '../client/template.js';

/** After so long without a reply a connection may be forgotten by something between here and Redis. */
export const IDLE_MS = 1_000;
/** The name of a channel that no connection subscribes to: no channel of ours is without a key. */
const NO_CHANNEL = 'credstream';

export interface ConnectionSettings {
  readonly clock: Clock;
  /** The name in CLIENT LIST. */
  readonly name: string;
  /** How long Redis may take to accept the connection and to reply to each command. */
  replyTimeoutMs(): number;
  readonly warnOfTraces: () => void;
  /** Called when a connection could not be opened. */
  readonly openFailed?: (error: Error) => void;
}

/** One connection from its opening to its end. A connection is never mended: a caller that needs another one opens another. */
export class Connection {
  readonly client: Redis;
  /** Whether the server has to be a master; the connection then asks for its role. */
  readonly mustBeMaster: boolean;
  readonly #options: ConnectionSettings;
  readonly #closed: Promise<void>;
  /** The proofs that this connection is alive. */
  readonly proof: ReplyProof;
  /** The commands that Redis has refused on this connection as such. */
  readonly refused: RefusedCommands;
  #lastError: Error | undefined;
  readonly #deadline: ReplyDeadline;
  /** `ended`: takes no more commands · `killed`: destroyed by this side. */
  #life: 'open' | 'ended' | 'killed' = 'open';
  /** Resolves with the end that QUIT brings. */
  #quit: Promise<void> | undefined;

  private constructor(client: Redis, options: ConnectionSettings, mustBeMaster: boolean) {
    this.client = client;
    this.mustBeMaster = mustBeMaster;
    this.#options = options;
    this.proof = new ReplyProof(options.clock.monotonic());
    this.refused = new RefusedCommands(options.clock);
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
      // A reply without a question: from now on replies may belong to other questions.
      if (this.open && replyWord(error) === undefined) this.kill();
    });
    this.#closed = new Promise((resolve) => {
      client.once('end', () => {
        if (this.#life === 'open') this.#life = 'ended';
        closeSentinels(client);
        this.#deadline.stop(new ConnectionLostError(true, this.#lastError));
        resolve();
      });
    });
  }

  /**
   * @param signal - aborts the opening
   * @throws ConnectionLostError, NotMasterError, or ioredis's own error when Redis refused the login
   */
  static open(
    template: ServerTemplate,
    options: ConnectionSettings,
    signal: AbortSignal,
  ): Promise<Connection> {
    // A socket hands its input out in the context in which it was made.
    return inRootContext(() => Connection.#connect(template, options, signal));
  }

  static async #connect(
    template: ServerTemplate,
    options: ConnectionSettings,
    signal: AbortSignal,
  ): Promise<Connection> {
    // A write whose reply was lost while the store closed may still try to read.
    const isGivenUp = (): boolean => signal.aborted;
    if (isGivenUp()) throw new ConnectionLostError(false);
    const timeoutMs = options.replyTimeoutMs();
    const located = await locate(template, options);
    if (isGivenUp()) throw new ConnectionLostError(false);
    const client = openClient(template, { ...options, connectTimeoutMs: timeoutMs }, located);
    const firstRefusal = new RefusedConnection(client, options.clock);
    const connection = new Connection(client, options, template.mustBeMaster ?? false);
    const giveUp = (): void => {
      connection.kill();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      // ioredis has no deadline for the handshake, only for the connection.
      await withDeadline(
        options.clock,
        connection.client.connect(),
        timeoutMs,
        () => new ConnectionLostError(false),
      );
      // Some versions of ioredis are ready before Redis has answered AUTH and SELECT; this answer comes after those.
      await connection.verify();
      // A refused SELECT is only reported, and would leave the connection on database 0.
      if (replyWord(connection.#lastError) !== undefined) throw new ConnectionLostError(false);
    } catch (error) {
      connection.kill();
      const reason = connection.#lastError ?? (error as Error);
      const said = connection.#reasonOf(error) ?? (await firstRefusal.error(reason, signal));
      const lost = said ?? new ConnectionLostError(false, reason);
      const failure = withSource(error instanceof NotMasterError ? error : lost, connection.source);
      if (!isGivenUp()) options.openFailed?.(failure);
      throw failure;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    if (isGivenUp()) {
      connection.kill();
      throw new ConnectionLostError(false);
    }
    return connection;
  }

  get open(): boolean {
    return this.#life === 'open' && this.client.status === 'ready';
  }

  /** Whether replies and messages are distinguishable on this connection, so that it can read while it is subscribed. */
  get canReadWhileSubscribed(): boolean {
    return this.client.mode !== 'subscriber';
  }

  /** The sending time of the last command that Redis has replied to: every message pushed before it has arrived. Monotonic. */
  get confirmedAt(): number {
    return this.proof.at;
  }

  /** Whether a reply is outstanding: without a reply in time, the connection is found dead. */
  get awaitsReply(): boolean {
    return this.#deadline.pending;
  }

  /** Resolves when the connection has ended, from either side. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** The server, for messages. */
  get source(): ReplySource {
    return { address: addressOf(this.client), inCluster: !this.mustBeMaster };
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /**
   * Sends a command and waits for the reply. A connection without a reply in time is dead, and one with a malformed reply is not to be
   * trusted: both are destroyed.
   *
   * @param send - `question` is a number that no other call on this connection has; a command that can be made to repeat it has a reply that
   *   cannot be that of another command
   * @param parse - returns what the reply says; throws a `MalformedReplyError`, or an error reply that the reply holds
   * @throws ConnectionLostError, or an error reply of Redis as ioredis made it
   */
  call<R>(
    send: (client: Redis, question: number) => Promise<unknown>,
    parse: (reply: unknown, question: number) => R,
  ): Promise<R> {
    if (!this.open) return Promise.reject(new ConnectionLostError(false, this.#lastError));
    // Not an async function: every read and write passes here, and mostly through code that the engine has not optimized yet.
    return new Promise<R>((resolve, reject) => {
      const call = this.#deadline.start(reject);
      const { question } = call;
      const failed = (error: unknown): void => {
        reject(this.#failed(call, error));
      };
      try {
        send(this.client, question).then((reply) => {
          let answer: R;
          try {
            answer = parse(reply, question);
          } catch (error) {
            failed(error);
            return;
          }
          this.#replied(call);
          resolve(answer);
        }, failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /**
   * Sends one command that proves the link alive and, where required, the server a master; a replica ends the link. A server that refuses
   * the command is trusted: HELLO needs no permission, but not every server with the Redis protocol knows it.
   *
   * @throws ConnectionLostError, NotMasterError
   */
  async verify(): Promise<void> {
    const asksRole = this.mustBeMaster && this.refused.mayTry('HELLO');
    const isMaster = asksRole ? await this.#isMaster() : await this.ping().then(() => true);
    this.proof.verifiedAt = this.#options.clock.monotonic();
    if (isMaster) return;
    this.kill();
    throw withSource(new NotMasterError(), this.source);
  }

  /**
   * Sends a command that proves the link alive, and gets its own words back. A refusal is a reply too; after it another command is sent, which
   * does not fill the log of Redis.
   *
   * @throws ConnectionLostError
   */
  async ping(): Promise<void> {
    if (this.refused.mayTry('PING'))
      await this.#try('PING', (client, question) => client.ping(String(question)), replyPong);
    else if (this.canReadWhileSubscribed) await this.#isMaster();
    // Under RESP2 a subscribed connection takes hardly any other command.
    else await this.#try('UNSUBSCRIBE', (client) => client.unsubscribe(NO_CHANNEL), replyCount);
  }

  async #isMaster(): Promise<boolean> {
    return (await this.#try('HELLO', (client) => client.call('HELLO'), replyHello)) ?? true;
  }

  /** Returns `undefined` where Redis replied with an error. */
  async #try<R>(
    name: string,
    send: (client: Redis, question: number) => Promise<unknown>,
    parse: (reply: unknown, question: number) => R,
  ): Promise<R | undefined> {
    try {
      return await this.refused.attempt(name, this.call(send, parse));
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH') throw error;
      return undefined;
    }
  }

  /** As {@link verify}, unless the last check was within `everyMs`. */
  async verifyAfter(everyMs: number): Promise<void> {
    const now = this.#options.clock.monotonic();
    if (!this.mustBeMaster || now - this.proof.verifiedAt < everyMs) return;
    // Set first, so that concurrent calls do not check again.
    this.proof.verifiedAt = now;
    await inRootContext(() => this.verify());
  }

  /** Destroys the connection without QUIT. */
  kill(): void {
    const wasKilled = this.#life === 'killed';
    this.#life = 'killed';
    this.#deadline.stop(new ConnectionLostError(true, this.#lastError));
    // Every call under way kills a lost connection, and each disconnect() adds a listener to the socket. After the end of the connection,
    // disconnect() would leave a timer that holds the process for two seconds.
    if (!wasKilled && this.client.status !== 'end') this.client.disconnect();
    // disconnect() waits for the other side to close too, which a dead one never does.
    (this.client as { stream?: { destroy(): void } }).stream?.destroy();
  }

  /** Waits for the replies under way, then ends the connection; at the latest after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    if (this.open) {
      this.#quit = inRootContext(() => this.client.quit()).then(() => this.#closed);
      // Redis executes no command after QUIT, so none may count as sent.
      this.#life = 'ended';
    }
    if (this.#quit !== undefined && this.#life !== 'killed') {
      const late = (): Error => new ConnectionLostError(true);
      const deadlineMs = Math.min(timeoutMs, this.#options.replyTimeoutMs());
      await withDeadline(this.#options.clock, this.#quit, deadlineMs, late).catch(() => undefined);
    }
    this.kill();
  }

  #replied(call: PendingCall): void {
    this.#deadline.end(call);
    this.proof.replied(call.sentAt);
  }

  /** The error that the caller gets. */
  #failed(call: PendingCall, error: unknown): Error {
    const word = replyWord(error);
    if (word !== undefined) this.#replied(call);
    else this.#deadline.end(call);
    // The connection was opened without a password and stays locked out; the next one takes the password of then.
    if (word === undefined || word === 'NOAUTH') this.kill();
    const failure =
      word !== undefined || error instanceof ConnectionLostError
        ? (error as Error)
        : new ConnectionLostError(true, this.#lastError);
    return withSource(failure, this.source);
  }

  /** The error reply because of which the connection could not be opened. */
  #reasonOf(error: unknown): Error | undefined {
    const said = [this.#lastError, error].filter((one) => one instanceof Error);
    return said.find((one) => replyWord(one) !== undefined);
  }
}

/** @throws ConnectionLostError */
async function locate(
  { locate: find }: ServerTemplate,
  options: ConnectionSettings,
): Promise<Readonly<Record<string, unknown>>> {
  if (find === undefined) return {};
  try {
    const late = (): Error => new ConnectionLostError(false);
    return await withDeadline(options.clock, find(), options.replyTimeoutMs(), late);
  } catch (error) {
    const failure = new ConnectionLostError(false, error instanceof Error ? error : undefined);
    options.openFailed?.(failure);
    throw failure;
  }
}

/** The part of a connection that sends commands. */
export type CommandConnection = Pick<Connection, 'open' | 'call' | 'kill'> & {
  readonly source?: ReplySource | undefined;
  /** Whether every call has to be one command or one transaction. */
  readonly oneCommandOnly?: true;
  readonly refused?: RefusedCommands;
};
