import type { Clock } from '../../time/clock.js';
import { RefusedError, UnavailableError } from '../../errors.js';
import { SLOTS } from '../keys.js';
import type { ClusterView } from './cluster-view.js';
import type { Address } from '../client/address.js';

export interface TopologyContext {
  readonly clock: Clock;
  /** The servers that may be asked, the ones with the fastest replies first. */
  readonly candidates: () => readonly Address[];
  /** @throws UnavailableError, RefusedError */
  readonly ask: (server: Address) => Promise<ClusterView>;
  /** The address at which a server that announces `node` is reached. */
  readonly reached: (server: Address) => Address;
  /** No server has replied. */
  readonly failed: (error: Error) => void;
  /** A server has replied; `changed`: slots have other masters than before. */
  readonly reported: (changed: boolean) => void;
}

/** A cluster that was created anew counts epochs from the start; so many old views in a row are therefore accepted. */
const OLD_VIEWS = 3;
/** How long a redirection from the previous owner of a slot outweighs the views of servers that may not have learned of it yet. */
const MOVED_MS = 2_000;

/** The master of each slot, as far as known. The topology is a guess that the servers themselves correct. */
export class ClusterTopology {
  readonly #context: TopologyContext;
  #owners: (Address | undefined)[] = new Array<Address | undefined>(SLOTS);
  #masters = new Map<string, Address>();
  #replicas: readonly Address[] = [];
  #epoch = -1;
  #oldViews = 0;
  #generation = 0;
  readonly #moved = new Map<number, { readonly to: Address; readonly until: number }>();
  /** Refreshes under way, by the number of servers that they ask at once. */
  readonly #refreshing = new Map<number, Promise<void>>();
  #refreshes = 0;
  /** The refresh whose old view was counted. */
  #countedRefresh = 0;
  #reporting = false;
  #closed = false;
  #failure: UnavailableError | RefusedError | undefined;

  constructor(context: TopologyContext) {
    this.#context = context;
  }

  owner(slot: number): Address | undefined {
    return this.#owners[slot];
  }

  /** Changes whenever a slot has another master than before. */
  get generation(): number {
    return this.#generation;
  }

  get masters(): ReadonlyMap<string, Address> {
    return this.#masters;
  }

  get replicas(): readonly Address[] {
    return this.#replicas;
  }

  /** Why a slot has no owner. */
  get failure(): UnavailableError | RefusedError {
    return (
      this.#failure ?? new UnavailableError('no server of the cluster has the slot of this key')
    );
  }

  /**
   * Asks some servers; resolves as soon as one has replied, or none will. Never rejects.
   *
   * @param atOnce - how many servers are asked at once; the first may hang, or have an old view
   */
  refresh(atOnce = 3): Promise<void> {
    const running = this.#refreshing.get(atOnce);
    if (running !== undefined) return running;
    this.#refreshes += 1;
    const refreshing = this.#refresh(atOnce, this.#refreshes).finally(() => {
      this.#refreshing.delete(atOnce);
    });
    this.#refreshing.set(atOnce, refreshing);
    return refreshing;
  }

  /** Applies a redirection from the previous owner of a slot. */
  moved(slot: number, to: Address): void {
    const { clock, reported: seen } = this.#context;
    this.#moved.set(slot, { to, until: clock.monotonic() + MOVED_MS });
    if (this.#owners[slot]?.name === to.name) return;
    this.#owners[slot] = to;
    // The next view removes a server that is a master no longer.
    this.#masters.set(to.name, to);
    this.#generation += 1;
    // Many redirections may come at once; they share one report.
    if (this.#reporting) return;
    this.#reporting = true;
    clock.nextTurn(() => {
      this.#reporting = false;
      if (!this.#closed) seen(true);
    });
  }

  /** Asks no server any more. */
  close(): void {
    this.#closed = true;
  }

  async #refresh(atOnce: number, round: number): Promise<void> {
    const candidates = [...this.#context.candidates()];
    let ended = false;
    while (candidates.length > 0 && !this.#closed) {
      const asked = candidates.splice(0, atOnce).map((server) =>
        this.#context.ask(server).then((view) => {
          // A late reply without an epoch cannot be told from a newer one.
          if (!this.#closed && (!ended || view.epoch !== undefined)) this.#apply(view, round);
        }),
      );
      try {
        await Promise.any(asked);
        this.#failure = undefined;
        ended = true;
        return;
      } catch (error) {
        const failures = error instanceof AggregateError ? (error.errors as unknown[]) : [];
        const [why] = failures.filter(
          (one) => one instanceof RefusedError || one instanceof UnavailableError,
        );
        this.#failure = why;
      }
    }
    if (!this.#closed) this.#context.failed(this.failure);
  }

  #apply({ epoch, ranges, replicas }: ClusterView, round: number): void {
    // A server that hung, or was partitioned, reports an old view until the others have updated it.
    if (epoch !== undefined && epoch < this.#epoch) {
      if (round !== this.#countedRefresh) this.#oldViews += 1;
      this.#countedRefresh = round;
      if (this.#oldViews < OLD_VIEWS) return;
    }
    this.#oldViews = 0;
    this.#epoch = epoch ?? this.#epoch;
    this.#replicas = replicas.map(this.#context.reached);
    const owners = new Array<Address | undefined>(SLOTS);
    for (const { from, to, master } of ranges)
      owners.fill(this.#context.reached(master), from, to + 1);
    this.#settle(owners);
  }

  #settle(owners: (Address | undefined)[]): void {
    const now = this.#context.clock.monotonic();
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
    this.#context.reported(changed);
  }
}
