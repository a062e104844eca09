/**
 * Lets writes be prepared side by side and sent strictly in the order in which they were asked for: each when the one before it has been
 * answered, because a refused command may be sent again in another way, and must not overtake.
 */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param prepare - may take its time; if it rejects, nothing is sent and the others go on
   * @param send - called once all earlier writes have ended, well or not
   */
  run<P, R>(prepare: () => Promise<P>, send: (prepared: P) => Promise<R>): Promise<R> {
    const prepared = prepare();
    const reply = Promise.allSettled([this.#last, prepared]).then(async () => send(await prepared));
    this.#last = reply.catch(() => undefined);
    return reply;
  }

  /** Resolves when all writes asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
