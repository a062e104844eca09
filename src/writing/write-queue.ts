/**
 * Lets writes be prepared side by side and sent strictly in the order in which they were asked for: each when the one before it has been
 * answered, because a refused command may be sent again in another way, and must not overtake.
 */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;

  /**
   * @param prepare - may take its time; if it fails, nothing is sent and the others go on. When it does not, and nothing is under way, the
   * write is sent before this returns.
   * @param send - called once all earlier writes have ended, well or not
   */
  run<P, R>(prepare: () => P | Promise<P>, send: (prepared: P) => Promise<R>): Promise<R> {
    const reply = this.#send(prepare, send);
    this.#underWay += 1;
    const ended = (): void => {
      this.#underWay -= 1;
    };
    this.#last = reply.then(ended, ended);
    return reply;
  }

  /** Resolves when all writes asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #send<P, R>(prepare: () => P | Promise<P>, send: (prepared: P) => Promise<R>): Promise<R> {
    let prepared: P | Promise<P>;
    try {
      prepared = prepare();
      // Asked for only now: what prepares may itself have asked for a write.
      if (this.#underWay === 0 && !(prepared instanceof Promise)) return send(prepared);
    } catch (error) {
      prepared = Promise.reject(error);
    }
    return Promise.allSettled([this.#last, prepared]).then(async () => send(await prepared));
  }
}
