import { inRootContext } from '../../time/async-context.js';
import type { Clock } from '../../time/clock.js';
import { RefusedError, UnavailableError } from '../../errors.js';
import type { ClusterView } from './cluster-view.js';
import { SlotOwners } from './slot-owners.js';
import type { Address } from '../client/address.js';

export interface TopologyContext {
  readonly clock: Clock;
  /** The servers that may be asked, the ones with the fastest replies first. */
  readonly candidates: () => readonly Address[];
  /** @throws UnavailableError, RefusedError */
  readonly ask: (server: Address) => Promise<ClusterView>;
  /** The address at which a server that announces `node` is reached. */
  readonly reached: (server: Address) => Address;
  /** A server has replied; `changed`: slots have other masters than before. */
  readonly reported: (changed: boolean) => void;
}

/** A cluster that was created anew counts epochs from the start; so many old views in a row are therefore accepted. */
const OLD_VIEWS = 3;
/** The master of each slot, as far as known. The topology is a guess that the servers themselves correct. */
export class ClusterTopology {
  readonly #context: TopologyContext;
  readonly #owners: SlotOwners;
  #replicas: readonly Address[] = [];
  /** The newest epoch; the number of old views in a row, and the refresh whose old view was counted last. */
  #epoch: { readonly newest: number; readonly oldViews: number; readonly countedIn: number } = {
    newest: -1,
    oldViews: 0,
    countedIn: 0,
  };
  /** Refreshes under way, by the number of servers that they ask at once. */
  readonly #refreshing = new Map<number, Promise<void>>();
  #refreshes = 0;
  #reporting = false;
  #closed = false;
  #failure: UnavailableError | RefusedError | undefined;

  constructor(context: TopologyContext) {
    this.#context = context;
    this.#owners = new SlotOwners(context.clock);
  }

  owner(slot: number): Address | undefined {
    return this.#owners.of(slot);
  }

  /** Changes whenever a slot has another master than before. */
  get generation(): number {
    return this.#owners.generation;
  }

  get masters(): ReadonlyMap<string, Address> {
    return this.#owners.masters;
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
    const refreshing = inRootContext(() => this.#refresh(atOnce, this.#refreshes)).finally(() => {
      this.#refreshing.delete(atOnce);
    });
    this.#refreshing.set(atOnce, refreshing);
    return refreshing;
  }

  /** Applies a redirection from the previous owner of a slot. */
  moved(slot: number, to: Address): void {
    const { clock, reported: seen } = this.#context;
    if (!this.#owners.move(slot, to)) return;
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
  }

  #apply({ epoch, ranges, replicas }: ClusterView, round: number): void {
    if (!this.#accepts(epoch, round)) return;
    const { reached, reported } = this.#context;
    this.#replicas = replicas.map(reached);
    reported(this.#owners.apply(ranges, reached));
  }

  /** A server that hung, or was partitioned, reports an old view until the others have updated it. */
  #accepts(epoch: number | undefined, round: number): boolean {
    const { newest, oldViews, countedIn } = this.#epoch;
    if (epoch !== undefined && epoch < newest) {
      const count = round === countedIn ? oldViews : oldViews + 1;
      this.#epoch = { newest, oldViews: count, countedIn: round };
      if (count < OLD_VIEWS) return false;
    }
    this.#epoch = { newest: epoch ?? newest, oldViews: 0, countedIn: this.#epoch.countedIn };
    return true;
  }
}
