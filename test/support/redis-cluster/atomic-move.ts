import { abilitiesOf, endOf, type ServerAbilities } from '../server-abilities.js';
import { eventually } from '../wait.js';
import type { ClusterServer } from './cluster-server.js';
import { AGREEMENT } from './forming.js';
import { hasSlot } from './seen-server.js';

/** The way in which a slot was moved in one step. */
export type AtomicWay = NonNullable<ServerAbilities['atomicMove']> | 'emulated';

/** Long enough for the copy of a slot; the pause ends before, with the move. */
const PAUSE_MS = 10_000;

/**
 * Moves a slot with all its keys in one step, as a client sees it: by the server's own command (Redis 8.4, Valkey 9), or on an older one
 * with the same effects made by hand: writes paused, a hidden copy, then another owner, and no key ever moved by itself.
 */
export async function moveAtomically(
  slot: number,
  from: ClusterServer,
  to: ClusterServer,
): Promise<AtomicWay> {
  const { atomicMove } = await abilitiesOf(from.admin);
  switch (atomicMove) {
    case 'MIGRATION':
      await to.admin.call('CLUSTER', 'MIGRATION', 'IMPORT', slot, slot);
      break;
    case 'MIGRATESLOTS':
      await from.admin.call('CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', slot, slot, 'NODE', to.id);
      break;
    case undefined:
      await emulate(slot, from, to);
  }
  await untilOwned(slot, from, to);
  return atomicMove ?? 'emulated';
}

async function emulate(slot: number, from: ClusterServer, to: ClusterServer): Promise<void> {
  await to.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id);
  await from.admin.call('CLIENT', 'PAUSE', PAUSE_MS, 'WRITE');
  try {
    for (const key of (await from.admin.cluster('GETKEYSINSLOT', slot, 10_000)).map(String)) {
      await copy(key, from, to);
    }
    await to.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id);
    await untilOwned(slot, from, to);
  } finally {
    await from.admin.call('CLIENT', 'UNPAUSE');
  }
}

async function copy(key: string, from: ClusterServer, to: ClusterServer): Promise<void> {
  const bytes = await from.admin.dumpBuffer(key);
  const end = await endOf(from.admin, key);
  // A key may have ended since it was listed.
  if (end === -2) return;
  const ttl = end < 0 ? [0] : [end, 'ABSTTL'];
  const [time, ...absolute] = ttl;
  const asked = to.admin.call('ASKING');
  await Promise.all([
    asked,
    to.admin.call('RESTORE', key, String(time), bytes, 'REPLACE', ...absolute),
  ]);
}

/** Both know the new owner, and the old one has dropped what it held. */
async function untilOwned(slot: number, from: ClusterServer, to: ClusterServer): Promise<void> {
  await eventually(async () => {
    for (const witness of [from, to]) {
      const owner = (await witness.view()).find((one) => hasSlot(one, slot));
      if (owner?.id !== to.id) throw new Error(`slot ${String(slot)} has not moved yet`);
    }
  }, AGREEMENT);
}
