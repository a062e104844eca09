import type { Clock } from '../../time/clock.js';
import { ClosedError } from '../../errors.js';
import { setLongTimeout } from '../../time/timers.js';
import type { Server } from './server.js';
import type { Address } from '../client/address.js';

const RETIRED_MS = 2_000;
/** How long the target of a moving slot is kept after its last use. */
const KEPT_ALIVE_MS = 5_000;

/** The servers that we have connections to: opened on first use, closed when they are masters no longer. */
export class ServerRegistry {
  readonly #clock: Clock;
  readonly #isMaster: (name: string) => boolean;
  readonly #make: (address: Address) => Server;
  readonly #servers = new Map<string, Server>();
  readonly #retiring = new Set<Promise<void>>();
  /** Servers that are no masters but in use for a while. */
  readonly #keptAlive = new Map<string, () => void>();
  #closed = false;

  constructor(
    clock: Clock,
    isMaster: (name: string) => boolean,
    make: (address: Address) => Server,
  ) {
    this.#clock = clock;
    this.#isMaster = isMaster;
    this.#make = make;
  }

  /** @throws ClosedError */
  get(address: Address): Server {
    let server = this.#servers.get(address.name);
    if (server === undefined) {
      if (this.#closed) throw new ClosedError();
      server = this.#make(address);
      this.#servers.set(address.name, server);
    }
    return server;
  }

  all(): Iterable<Server> {
    return this.#servers.values();
  }

  /** Whether a command connection is open. */
  isOpen(name: string): boolean {
    return this.#servers.get(name)?.commands.current?.connection.open === true;
  }

  /** Keeps the connections to the target of a moving slot. */
  keepAlive({ name }: Address): void {
    if (this.#closed || this.#isMaster(name)) return;
    this.#keptAlive.get(name)?.();
    const cancel = setLongTimeout(this.#clock, KEPT_ALIVE_MS, () => {
      this.#keptAlive.delete(name);
      this.retire();
    });
    this.#keptAlive.set(name, cancel);
  }

  /** Closes the servers that are masters no longer, or were only in use for a while. */
  retire(): void {
    for (const [name, server] of this.#servers) {
      if (this.#isMaster(name) || this.#keptAlive.has(name)) continue;
      this.#servers.delete(name);
      // Commands under way may still get their replies.
      const retiring = server.close(RETIRED_MS).finally(() => this.#retiring.delete(retiring));
      this.#retiring.add(retiring);
    }
  }

  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#keptAlive.values()) cancel();
    const closing = [...this.#servers.values()].map((server) => server.close(timeoutMs));
    await Promise.all([...closing, ...this.#retiring]);
  }
}
