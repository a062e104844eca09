import { setImmediate as turn } from 'node:timers/promises';

/** Writes "0", "1", "2" … one after the other, until it is stopped. */
export class Writer {
  /** What was stored, as far as it knows, in order. */
  readonly written: string[] = [];
  readonly failures: unknown[] = [];
  readonly #write: (text: string) => Promise<unknown>;
  readonly #writing: Promise<void>;
  #stopped = false;

  constructor(write: (text: string) => Promise<unknown>) {
    this.#write = write;
    this.#writing = this.#run();
  }

  /** Resolves when the last write is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#writing;
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#stopped; number += 1) {
      try {
        await this.#write(String(number));
        this.written.push(String(number));
      } catch (error) {
        this.failures.push(error);
        // A store that is closed refuses without any I/O: no timer of the test would ever come.
        await turn();
      }
    }
  }
}
