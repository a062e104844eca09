import type { Server } from './server.js';
import type { SlotMoves } from './cluster-view.js';
import type { Address } from '../client/address.js';

export interface ClusterKeysContext {
  /** The known masters. @throws UnavailableError, RefusedError when there are none */
  readonly masters: () => Promise<ReadonlyMap<string, Address>>;
  readonly server: (address: Address) => Server;
  readonly reached: (address: Address) => Address;
  /** The moving slots, as one master sees them. */
  readonly moves: (master: Address) => Promise<SlotMoves>;
  /** Changes whenever a slot has another master than before. */
  readonly generation: () => number;
  /** Refreshes the topology. */
  readonly refreshed: () => Promise<void>;
}

/** A key moves once from one master to another, so the next round finds a key that this one missed. */
const ROUNDS = 3;

/**
 * The keys of all masters that begin with `prefix`, page by page; perhaps more than once.
 *
 * While a slot moves, a key of it may go from a master that is still to be scanned to one that has been, or to one that is no master yet:
 * then all masters are scanned again.
 */
export async function* clusterKeys(
  prefix: string,
  context: ClusterKeysContext,
): AsyncGenerator<readonly string[]> {
  for (let round = 1; round <= ROUNDS; round += 1) {
    const before = await openMoves(context);
    const generation = context.generation();
    for (const address of before.addresses) yield* context.server(address).keys(prefix);
    await context.refreshed();
    const quiet = !before.open && generation === context.generation();
    if (quiet && !(await openMoves(context)).open) return;
  }
}

/** Whether slots are moving, and all servers that may hold keys. */
async function openMoves(
  context: ClusterKeysContext,
): Promise<{ readonly open: boolean; readonly addresses: readonly Address[] }> {
  const masters = await context.masters();
  const moves = await Promise.all([...masters.values()].map((master) => context.moves(master)));
  const targets = moves.flatMap(({ targets: to }) => to.map(context.reached));
  const all = new Map(masters);
  for (const target of targets) all.set(target.name, target);
  return { open: moves.some(({ open }) => open), addresses: [...all.values()] };
}
