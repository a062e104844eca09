import type { Slots } from '../slots.js';

/** Functions that call a provider, and with how many others they share the turns to do so. */
const turns = new WeakMap<object, Slots>();

/** Has whoever calls `authenticate` wait for a turn before the cluster is asked for the lease. */
export function takeTurns<F extends object>(authenticate: F, slots: Slots): F {
  turns.set(authenticate, slots);
  return authenticate;
}

export function turnsOf(authenticate: object): Slots | undefined {
  return turns.get(authenticate);
}
