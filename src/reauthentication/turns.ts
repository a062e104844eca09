import type { Semaphore } from '../util/semaphore.js';

/** Where a function that calls a provider says with how many others it shares the turns to do so. */
const TURNS: unique symbol = Symbol('turns');

/** Has whoever calls `authenticate` wait for a turn before the cluster is asked for the lease. */
export function takeTurns<F extends object>(authenticate: F, slots: Semaphore): F {
  return Object.assign(authenticate, { [TURNS]: slots });
}

export function turnsOf(
  authenticate: object & { readonly [TURNS]?: Semaphore },
): Semaphore | undefined {
  return authenticate[TURNS];
}
