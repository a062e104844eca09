import { ConnectionLostError } from '../reply-errors.js';
import type { CommandConnection, ConnectionSettings } from '../connection/connection.js';
import { Connection } from '../connection/connection.js';
import { RefusedCommands } from '../connection/refused-commands.js';
import type { HelperNames } from './helper-names.js';
import { Reader } from './reader.js';
import type { ServerTemplate } from '../client/server-template.js';
import { ReplicaWait } from './replica-wait.js';
import { Writer } from './writer.js';

/** A connection with the state that belongs to it. */
export interface CommandSession {
  readonly connection: CommandConnection;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly replicas: ReplicaWait;
  /** `false` once Redis refuses this user the announcement channel; tried again after a while, and on every connection. */
  canAnnounce: boolean;
  /** The time of the last refusal. Monotonic. */
  refusedAt: number;
}

/** The one connection for commands: opened on first use, and opened anew on the first use after a loss. */
export class CommandChannel {
  readonly #template: ServerTemplate;
  readonly #options: ConnectionSettings;
  readonly #names: HelperNames;
  readonly #replicas: ReplicaWait;
  #opening: Promise<CommandSession> | undefined;
  #current: (CommandSession & { readonly connection: Connection }) | undefined;
  #connection: Connection | undefined;
  readonly #closing = new AbortController();

  constructor(template: ServerTemplate, options: ConnectionSettings, names: HelperNames) {
    this.#template = template;
    this.#options = options;
    this.#names = names;
    this.#replicas = new ReplicaWait(template, options, names);
  }

  get current(): CommandSession | undefined {
    return this.#current;
  }

  /** Whether nothing was answered for `idleMs`: a load balancer may have forgotten the connection. */
  isIdle(idleMs: number): boolean {
    const { clock } = this.#options;
    return (
      this.#connection !== undefined && clock.monotonic() - this.#connection.confirmedAt > idleMs
    );
  }

  /** Proves the connection alive, or opens another one. @throws as {@link get}, and NotMasterError */
  async proven(): Promise<CommandSession> {
    if (this.#connection?.open) await this.#connection.verify().catch(() => undefined);
    return this.get();
  }

  /** @throws ConnectionLostError, or ioredis's own error when Redis refused the login */
  get(): Promise<CommandSession> {
    if (this.#closing.signal.aborted) return Promise.reject(new ConnectionLostError(false));
    if (this.#current?.connection.open) return Promise.resolve(this.#current);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Checks that the server is still a master. @throws as {@link get}, and NotMasterError */
  async verify(): Promise<CommandSession> {
    const session = await this.get();
    await this.#connection?.verify();
    return session;
  }

  /** As {@link verify}, if there is a connection and its last check is older than `everyMs`. */
  verifyAfter(everyMs: number): Promise<void> {
    return this.#connection?.open ? this.#connection.verifyAfter(everyMs) : Promise.resolve();
  }

  async close(timeoutMs: number): Promise<void> {
    this.#closing.abort();
    this.#replicas.close();
    await this.#current?.connection.close(timeoutMs);
  }

  /** As {@link close}, without waiting for the replies under way. */
  kill(): void {
    this.#closing.abort();
    this.#replicas.close();
    this.#connection?.kill();
  }

  async #open(): Promise<CommandSession> {
    const { signal } = this.#closing;
    const connection = await Connection.open(this.#template, this.#options, signal);
    // The channel closed between the opening and this line; `close()` did not see this connection.
    if (signal.aborted) {
      connection.kill();
      throw new ConnectionLostError(false);
    }
    this.#connection = connection;
    this.#current = {
      connection: connection,
      reader: new Reader(connection, this.#options.clock),
      writer: new Writer(connection, this.#names, new RefusedCommands(this.#options.clock)),
      replicas: this.#replicas,
      canAnnounce: true,
      refusedAt: -Infinity,
    };
    return this.#current;
  }
}
