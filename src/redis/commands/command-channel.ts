import { LinkLostError } from '../reply-errors.js';
import type { CommandConnection, LinkOptions } from '../connection/connection.js';
import { RedisLink } from '../connection/connection.js';
import { RedisObserver } from './reader.js';
import type { NodeTemplate } from '../client/server-template.js';
import { ReplicaWait } from './replica-wait.js';
import { RedisWriting } from './writer.js';

/** A link with what is remembered about it. */
export interface Commanding {
  readonly link: CommandConnection;
  readonly observer: RedisObserver;
  readonly writing: RedisWriting;
  readonly replicas: ReplicaWait;
  /** Turns false when Redis refuses this user the announcement channel; tried again after a while, and on every connection. */
  announcing: boolean;
  /** When it was refused last. Monotonic. */
  refusedAt: number;
}

/** The one connection for commands: opened when first needed, and anew when needed after it was lost. */
export class CommandLink {
  readonly #template: NodeTemplate;
  readonly #options: LinkOptions;
  readonly #newName: () => string;
  readonly #replicas: ReplicaWait;
  #opening: Promise<Commanding> | undefined;
  #current: (Commanding & { readonly link: RedisLink }) | undefined;
  #link: RedisLink | undefined;
  readonly #closing = new AbortController();

  /** @param newName - gives a name that nobody else uses */
  constructor(template: NodeTemplate, options: LinkOptions, newName: () => string) {
    this.#template = template;
    this.#options = options;
    this.#newName = newName;
    this.#replicas = new ReplicaWait(template, options, newName);
  }

  get current(): Commanding | undefined {
    return this.#current;
  }

  /** @throws LinkLostError, or ioredis's own error when Redis refused the login */
  get(): Promise<Commanding> {
    if (this.#closing.signal.aborted) return Promise.reject(new LinkLostError(false));
    if (this.#current?.link.open) return Promise.resolve(this.#current);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Makes sure that the other side is a master still. @throws as {@link get}, and NotMasterError */
  async verify(): Promise<Commanding> {
    const commanding = await this.get();
    await this.#link?.verify();
    return commanding;
  }

  /** As {@link verify}, if there is a link and that was not done within `everyMs`. */
  verifyAfter(everyMs: number): Promise<void> {
    return this.#link?.open ? this.#link.verifyAfter(everyMs) : Promise.resolve();
  }

  async close(timeoutMs: number): Promise<void> {
    this.#closing.abort();
    this.#replicas.close();
    await this.#current?.link.close(timeoutMs);
  }

  async #open(): Promise<Commanding> {
    const { signal } = this.#closing;
    const link = await RedisLink.open(this.#template, this.#options, signal);
    // Closed in the very moment in which it was handed over; nobody else would close it any more.
    if (signal.aborted) {
      link.kill();
      throw new LinkLostError(false);
    }
    this.#link = link;
    this.#current = {
      link,
      observer: new RedisObserver(link, this.#options.clock),
      writing: new RedisWriting(link, this.#newName),
      replicas: this.#replicas,
      announcing: true,
      refusedAt: -Infinity,
    };
    return this.#current;
  }
}
