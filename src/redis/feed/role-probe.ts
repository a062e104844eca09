import type { CommandChannel, CommandSession } from '../commands/channel.js';
import { ConnectionLostError, NotMasterError } from '../reply-errors.js';
import type { Connection } from '../connection/connection.js';

/**
 * Checks again and again whether a feed's server is still a master: a demoted server goes on replying, and sends the notifications of its
 * new master late or never.
 */
export class RoleProbe {
  readonly #connection: Connection;
  readonly #commands: CommandChannel;
  readonly #reads: CommandChannel;
  readonly #failed: (error: unknown) => void;
  #session: CommandSession | undefined;
  #checking = false;

  /**
   * @param reads - reads in place of the connection where that cannot read
   * @param failed - called when the link is dead, or not to be trusted
   */
  constructor(
    connection: Connection,
    commands: CommandChannel,
    reads: CommandChannel,
    failed: (error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#commands = commands;
    this.#reads = reads;
    this.#failed = failed;
  }

  /**
   * At most one check is under way.
   *
   * @param alive - whether something else proves the link alive, or no proof is needed
   */
  check(alive: boolean): void {
    if (this.#checking || (alive && !this.#connection.mustBeMaster)) return;
    this.#checking = true;
    this.#check()
      .catch((error: unknown) => {
        this.#failed(error);
        // The commands go to the same server.
        if (error instanceof NotMasterError) void this.#commands.verify().catch(() => undefined);
      })
      .finally(() => {
        this.#checking = false;
      });
  }

  async #check(): Promise<void> {
    if (this.#connection.canReadWhileSubscribed) return this.#connection.verify();
    if (!this.#connection.awaitsReply) await this.#connection.ping();
    // Under RESP2 a subscribed connection cannot send HELLO. The connection for reading speaks for both as long as it is the same one.
    if (!this.#connection.mustBeMaster) return;
    const session = await this.#reads.verify();
    this.#session ??= session;
    if (session !== this.#session) throw new ConnectionLostError(true);
  }
}
