/** How many kinds of stores a program makes by turns. */
const KINDS = 8;

/** Lets stores that ask for the same share one object for it, as thousands do; functions are the same when they are identical. */
export class OptionSharing {
  readonly #recent: object[] = [];

  /** @param derived - names what follows from the other options */
  intern<O extends object>(options: O, derived: keyof O & string): O {
    const values = Object.entries(options).filter(([name]) => name !== derived);
    const known = this.#recent.find((one) => {
      const fields = one as Readonly<Record<string, unknown>>;
      return values.every(([name, value]) => fields[name] === value);
    });
    if (known !== undefined) return known as O;
    this.#recent.unshift(options);
    if (this.#recent.length > KINDS) this.#recent.pop();
    return options;
  }
}
