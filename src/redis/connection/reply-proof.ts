/** The sending time of the last command that Redis has replied to, on one connection. */
export class ReplyProof {
  /** The last check that the server is the right one. Monotonic. */
  verifiedAt: number = -Infinity;
  #at: number;
  #lapsed: ((silentMs: number) => void) | undefined;

  /** @param at - the monotonic instant of the opening */
  constructor(at: number) {
    this.#at = at;
  }

  /** Monotonic; every message that was pushed before this instant has arrived. */
  get at(): number {
    return this.#at;
  }

  /**
   * Reports the time between two replied commands before the later one counts: a process that stood still has sent nothing meanwhile, and
   * may have served what it cannot vouch for.
   */
  onSilence(lapsed: (silentMs: number) => void): void {
    this.#lapsed = lapsed;
  }

  /** A command that was sent at `sentAt` got a reply. */
  replied(sentAt: number): void {
    if (sentAt <= this.#at) return;
    this.#lapsed?.(sentAt - this.#at);
    this.#at = sentAt;
  }
}
