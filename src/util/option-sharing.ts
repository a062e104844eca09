import { AsyncContext } from '../time/async-context.js';

/** The number of option sets that a program alternates between; more are not shared. */
const KINDS = 8;

/**
 * Shares one options object among stores with equal options, as thousands of stores have. Functions are equal when they are identical, and
 * they are given in equal contexts.
 */
export class OptionSharing {
  readonly #recent: object[] = [];

  /** @param derived - name of the field that follows from the others */
  intern<O extends object>(options: O, derived: keyof O & string): O {
    const values = Object.entries(options).filter(([name]) => name !== derived);
    const known = this.#recent.find((one) => {
      const fields = one as Readonly<Record<string, unknown>>;
      return values.every(([name, value]) => isEqual(fields[name], value));
    });
    if (known !== undefined) return known as O;
    this.#recent.unshift(options);
    if (this.#recent.length > KINDS) this.#recent.pop();
    return options;
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  return a === b || (a instanceof AsyncContext && b instanceof AsyncContext && a.equals(b));
}
