/**
 * Prepares writes concurrently and sends them strictly in the order of the calls: each after the reply to the one before, because a refused
 * command may be sent again in another form, and must not be overtaken.
 */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;

  /**
   * @param prepare - may be asynchronous; if it fails, nothing is sent and the other writes go on. A synchronous one, with no write under
   *   way, is sent before this method returns.
   * @param send - called once all earlier writes have settled
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

  /** Resolves when all writes that were requested so far have settled. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #send<P, R>(prepare: () => P | Promise<P>, send: (prepared: P) => Promise<R>): Promise<R> {
    let prepared: P | Promise<P>;
    try {
      prepared = prepare();
      // Checked after `prepare`, because `prepare` may itself have requested a write.
      if (this.#underWay === 0 && !(prepared instanceof Promise)) return send(prepared);
    } catch (error) {
      prepared = Promise.reject(error);
    }
    return Promise.allSettled([this.#last, prepared]).then(async () => send(await prepared));
  }
}
