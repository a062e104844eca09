import type { CommandLink, Commanding } from '../commands/command-channel.js';
import { LinkLostError, NotMasterError, replyWord } from '../reply-errors.js';
import type { RedisLink } from '../connection/connection.js';

/**
 * Asks again and again whether a feed's server is still a master: one that was demoted goes on answering, and sends the notifications of
 * its new master late or never.
 */
export class RoleProbe {
  readonly #link: RedisLink;
  readonly #commands: CommandLink;
  readonly #failed: (error: unknown) => void;
  #commanding: Commanding | undefined;
  #asking = false;

  /** @param failed - the link is dead, or not to be trusted */
  constructor(link: RedisLink, commands: CommandLink, failed: (error: unknown) => void) {
    this.#link = link;
    this.#commands = commands;
    this.#failed = failed;
  }

  /**
   * At most one question is under way.
   *
   * @param alive - whether something else proves the link alive, or does not need to
   */
  ask(alive: boolean): void {
    if (this.#asking || (alive && !this.#link.mustBeMaster)) return;
    this.#asking = true;
    this.#check()
      .catch((error: unknown) => {
        this.#failed(error);
        // What served the feed serves the commands too.
        if (error instanceof NotMasterError) void this.#commands.verify().catch(() => undefined);
      })
      .finally(() => {
        this.#asking = false;
      });
  }

  async #check(): Promise<void> {
    if (this.#link.canReadWhileSubscribed) return this.#link.verify();
    if (!this.#link.awaited) await this.#ping();
    // Under RESP2 a subscribed connection cannot ask. The other one speaks for both as long as it is the same.
    if (!this.#link.mustBeMaster) return;
    const commanding = await this.#commands.verify();
    this.#commanding ??= commanding;
    if (commanding !== this.#commanding) throw new LinkLostError(true);
  }

  async #ping(): Promise<void> {
    try {
      await this.#link.call((client) => client.ping());
    } catch (error) {
      // A refusal is an answer.
      if (replyWord(error) === undefined) throw error;
    }
  }
}
