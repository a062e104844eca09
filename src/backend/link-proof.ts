/** The proof that hints arrive over a link, in one generation; it grows until the end of the generation. */
export class LinkProof {
  readonly #now: (at?: number) => number;
  #stoppedAt: number | undefined;

  /**
   * @param now - the monotonic instant up to which all hints have arrived as of now: the sending time of the last command with a reply. A link
   *   without commands takes the present instant `at`, which callers that have it pass: reading a clock is most of a read from memory
   */
  constructor(now: (at?: number) => number) {
    this.#now = now;
  }

  /** The monotonic instant up to which all hints of the generation are known to have arrived. */
  get confirmedAt(): number {
    return this.#stoppedAt ?? this.#now();
  }

  /** The same at the present monotonic instant `at`. */
  confirmedAsOf(at: number): number {
    return this.#stoppedAt ?? this.#now(at);
  }

  /** The generation is over: replies from now on say nothing of the readings in this generation. */
  stop(): void {
    this.#stoppedAt ??= this.#now();
  }
}
