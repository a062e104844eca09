/** The proof that hints arrive over a link, in one generation; it stands still after the end of the generation. */
export interface LinkProof {
  /** The monotonic instant up to which all hints are known to have arrived: the sending time of the last command with a reply. */
  readonly confirmedAt: number;
}

/** A proof that grows until the end of its generation. */
export class GrowingProof implements LinkProof {
  readonly #now: () => number;
  #stoppedAt: number | undefined;

  /** @param now - the instant up to which all hints have arrived as of now */
  constructor(now: () => number) {
    this.#now = now;
  }

  get confirmedAt(): number {
    return this.#stoppedAt ?? this.#now();
  }

  /** The generation is over: what is confirmed from now on says nothing of the readings in this generation. */
  stop(): void {
    this.#stoppedAt ??= this.#now();
  }
}
