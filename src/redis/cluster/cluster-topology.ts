import type { Clock } from '../../clock.js';
import { RefusedError, UnavailableError } from '../../errors.js';
import { SLOTS } from '../redis-keys.js';
import type { ClusterView } from './cluster-view.js';
import type { NodeAddress } from './node-address.js';

export interface TopologyContext {
  readonly clock: Clock;
  /** The nodes that may be asked, those first that will answer soonest. */
  readonly candidates: () => readonly NodeAddress[];
  /** @throws UnavailableError, RefusedError */
  readonly ask: (node: NodeAddress) => Promise<ClusterView>;
  /** Where a node is reached that calls itself this. */
  readonly reached: (node: NodeAddress) => NodeAddress;
  /** A node has answered; whether slots have other masters than before. */
  readonly seen: (changed: boolean) => void;
}

/** A cluster that was made anew counts from the start; so often in a row it must be what all say. */
const OLD_VIEWS = 3;
/** For how long the word of the node that had the slot counts for more than that of others, who may not have heard yet. */
const MOVED_MS = 2_000;

/** Which master has which slot, as far as is known. What it says is a guess that the nodes themselves correct. */
export class ClusterTopology {
  readonly #context: TopologyContext;
  #owners: (NodeAddress | undefined)[] = new Array<NodeAddress | undefined>(SLOTS);
  #masters = new Map<string, NodeAddress>();
  #replicas: readonly NodeAddress[] = [];
  #epoch = -1;
  #oldViews = 0;
  #version = 0;
  readonly #moved = new Map<number, { readonly to: NodeAddress; readonly until: number }>();
  #refreshing: Promise<void> | undefined;
  #failure: UnavailableError | RefusedError | undefined;

  constructor(context: TopologyContext) {
    this.#context = context;
  }

  owner(slot: number): NodeAddress | undefined {
    return this.#owners[slot];
  }

  /** Another one whenever a slot has another master than before. */
  get version(): number {
    return this.#version;
  }

  get masters(): ReadonlyMap<string, NodeAddress> {
    return this.#masters;
  }

  get replicas(): readonly NodeAddress[] {
    return this.#replicas;
  }

  /** Why a slot has no owner. */
  get failure(): UnavailableError | RefusedError {
    return this.#failure ?? new UnavailableError('no node of the cluster has the slot of this key');
  }

  /**
   * Asks some nodes; resolves as soon as one has answered, or none will. Never rejects.
   *
   * @param atOnce - how many are asked at once; the first may hang, or not have heard yet
   */
  refresh(atOnce = 3): Promise<void> {
    this.#refreshing ??= this.#refresh(atOnce).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Takes the word of the node that had the slot. */
  moved(slot: number, to: NodeAddress): void {
    this.#moved.set(slot, { to, until: this.#context.clock.monotonic() + MOVED_MS });
    this.#settle([...this.#owners]);
  }

  async #refresh(atOnce: number): Promise<void> {
    const candidates = [...this.#context.candidates()];
    while (candidates.length > 0) {
      const asked = candidates.splice(0, atOnce).map((node) =>
        this.#context.ask(node).then((view) => {
          this.#take(view);
        }),
      );
      try {
        await Promise.any(asked);
        this.#failure = undefined;
        return;
      } catch (error) {
        const failures = error instanceof AggregateError ? (error.errors as unknown[]) : [];
        const [why] = failures.filter(
          (one) => one instanceof RefusedError || one instanceof UnavailableError,
        );
        this.#failure = why;
      }
    }
  }

  #take({ epoch, ranges, replicas }: ClusterView): void {
    // A node that hung, or was cut off, tells of the past until the others have told it.
    if (epoch !== undefined && epoch < this.#epoch) {
      this.#oldViews += 1;
      if (this.#oldViews < OLD_VIEWS) return;
    }
    this.#oldViews = 0;
    this.#epoch = epoch ?? this.#epoch;
    this.#replicas = replicas.map(this.#context.reached);
    const owners = new Array<NodeAddress | undefined>(SLOTS);
    for (const { from, to, master } of ranges)
      owners.fill(this.#context.reached(master), from, to + 1);
    this.#settle(owners);
  }

  #settle(owners: (NodeAddress | undefined)[]): void {
    const now = this.#context.clock.monotonic();
    for (const [slot, { to, until }] of this.#moved) {
      if (until > now) owners[slot] = to;
      else this.#moved.delete(slot);
    }
    const before = this.#owners;
    this.#owners = owners;
    this.#masters = new Map();
    let changed = false;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const owner = owners[slot];
      if (owner !== undefined) this.#masters.set(owner.name, owner);
      if (owner?.name !== before[slot]?.name) changed = true;
    }
    if (changed) this.#version += 1;
    this.#context.seen(changed);
  }
}
