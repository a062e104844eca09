import type { Clock } from '../../time/clock.js';
import type { Address } from '../client/address.js';
import { SLOTS } from '../keys.js';
import type { SlotRange } from './cluster-view.js';

/** How long a redirection from the previous owner of a slot outweighs the views of servers that may not have learned of it yet. */
const MOVED_MS = 2_000;

/** The master of each slot: as the last view has it, but for the slots that have moved since. */
export class SlotOwners {
  readonly #clock: Clock;
  #owners: (Address | undefined)[] = new Array<Address | undefined>(SLOTS);
  #masters = new Map<string, Address>();
  #generation = 0;
  readonly #moved = new Map<number, { readonly to: Address; readonly until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(slot: number): Address | undefined {
    return this.#owners[slot];
  }

  /** Changes whenever a slot has another master than before. */
  get generation(): number {
    return this.#generation;
  }

  get masters(): ReadonlyMap<string, Address> {
    return this.#masters;
  }

  /** Applies a redirection; returns whether the slot has another master than before. */
  move(slot: number, to: Address): boolean {
    this.#moved.set(slot, { to, until: this.#clock.monotonic() + MOVED_MS });
    if (this.#owners[slot]?.name === to.name) return false;
    this.#owners[slot] = to;
    // The next view removes a server that is a master no longer.
    this.#masters.set(to.name, to);
    this.#generation += 1;
    return true;
  }

  /**
   * Applies a view; returns whether a slot has another master than before.
   *
   * @param reached - the address at which a server that announces an address is reached
   */
  apply(ranges: readonly SlotRange[], reached: (server: Address) => Address): boolean {
    const owners = new Array<Address | undefined>(SLOTS);
    for (const { from, to, master } of ranges) owners.fill(reached(master), from, to + 1);
    const now = this.#clock.monotonic();
    for (const [slot, { to, until }] of this.#moved) {
      if (until > now) owners[slot] = to;
      else this.#moved.delete(slot);
    }
    const before = this.#owners;
    this.#owners = owners;
    this.#masters = new Map();
    let changed = false;
    let last: Address | undefined;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const owner = owners[slot];
      if (owner !== undefined && owner !== last) this.#masters.set(owner.name, owner);
      last = owner;
      if (owner?.name !== before[slot]?.name) changed = true;
    }
    if (changed) this.#generation += 1;
    return changed;
  }
}
