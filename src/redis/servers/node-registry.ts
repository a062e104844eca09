import type { Clock } from '../../time/clock.js';
import { ClosedError } from '../../errors.js';
import { after } from '../../time/timers.js';
import type { RedisNode } from './server.js';
import type { NodeAddress } from '../client/address.js';

const RETIRED_MS = 2_000;
/** How long a node that keys are moving to is kept after it was last needed. */
const SPARED_MS = 5_000;

/** The nodes that we have connections to: made when first needed, let go when they are no masters any more. */
export class NodeRegistry {
  readonly #clock: Clock;
  readonly #isMaster: (name: string) => boolean;
  readonly #make: (address: NodeAddress) => RedisNode;
  readonly #nodes = new Map<string, RedisNode>();
  readonly #retiring = new Set<Promise<void>>();
  /** Those that are no masters and needed all the same, for a while. */
  readonly #spared = new Map<string, () => void>();
  #closed = false;

  constructor(
    clock: Clock,
    isMaster: (name: string) => boolean,
    make: (address: NodeAddress) => RedisNode,
  ) {
    this.#clock = clock;
    this.#isMaster = isMaster;
    this.#make = make;
  }

  /** @throws ClosedError */
  get(address: NodeAddress): RedisNode {
    let node = this.#nodes.get(address.name);
    if (node === undefined) {
      if (this.#closed) throw new ClosedError();
      node = this.#make(address);
      this.#nodes.set(address.name, node);
    }
    return node;
  }

  all(): Iterable<RedisNode> {
    return this.#nodes.values();
  }

  /** Whether there is a connection for commands. */
  isOpen(name: string): boolean {
    return this.#nodes.get(name)?.commands.current?.link.open === true;
  }

  /** Keeps the connections to a node that a slot is moving to. */
  spare({ name }: NodeAddress): void {
    if (this.#closed || this.#isMaster(name)) return;
    this.#spared.get(name)?.();
    const cancel = after(this.#clock, SPARED_MS, () => {
      this.#spared.delete(name);
      this.retire();
    });
    this.#spared.set(name, cancel);
  }

  /** Lets go of those that are no masters: not any more, or only asked on the way. */
  retire(): void {
    for (const [name, node] of this.#nodes) {
      if (this.#isMaster(name) || this.#spared.has(name)) continue;
      this.#nodes.delete(name);
      // What was sent to it may still be answered.
      const retiring = node.close(RETIRED_MS).finally(() => this.#retiring.delete(retiring));
      this.#retiring.add(retiring);
    }
  }

  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#spared.values()) cancel();
    const closing = [...this.#nodes.values()].map((node) => node.close(timeoutMs));
    await Promise.all([...closing, ...this.#retiring]);
  }
}
