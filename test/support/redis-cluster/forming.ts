import type { Redis } from 'ioredis';

import { abilitiesOf } from '../server-abilities.js';
import { eventually } from '../wait.js';
import type { ClusterServer } from './cluster-server.js';
import { arrangement } from './seen-server.js';

const SLOTS = 16_384;

/** How long the gossip of a small cluster may take on a busy machine. */
export const AGREEMENT = { timeoutMs: 30_000 } as const;

/** Makes one cluster of servers that do not know each other; what redis-cli does, without its questions. */
export async function formCluster(
  masters: readonly ClusterServer[],
  replicas: readonly ClusterServer[],
): Promise<void> {
  const servers = [...masters, ...replicas];
  for (const [index, { admin }] of servers.entries()) {
    // Servers that begin with the same epoch would first have to settle it among each other.
    await admin.cluster('SET-CONFIG-EPOCH', index + 1);
  }
  for (const [index, { admin }] of masters.entries()) {
    const bound = (at: number): number => Math.round((at * SLOTS) / masters.length);
    await addSlots(admin, bound(index), bound(index + 1) - 1);
  }
  await introduce(servers);
  const pairs = replicas.map(
    (replica, index) => [replica, masters[index % masters.length]!] as const,
  );
  await Promise.all(pairs.map(([replica, master]) => replicate(replica, master)));
  await agreed(servers);
}

async function addSlots(admin: Redis, first: number, last: number): Promise<void> {
  const { choosesBusPort } = await abilitiesOf(admin);
  const slots = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  if (choosesBusPort) await admin.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
  else await admin.call('CLUSTER', 'ADDSLOTS', ...slots);
}

/** Everybody to everybody: by gossip alone it takes seconds more. */
export async function introduce(
  servers: readonly ClusterServer[],
  added: readonly ClusterServer[] = servers,
): Promise<void> {
  for (const server of added) {
    for (const { id, host, port, busPort } of servers) {
      if (id !== server.id) await server.admin.cluster('MEET', host, port, busPort);
    }
  }
  await eventually(async () => {
    for (const server of servers) {
      const linked = (await server.view()).filter((seen) => seen.linked);
      const known = new Set(linked.map(({ id }) => id));
      if (!servers.every(({ id }) => known.has(id))) return false;
    }
    return true;
  }, AGREEMENT);
}

/** Makes one the replica of another, and waits until it has the data. */
async function replicate(replica: ClusterServer, master: ClusterServer): Promise<void> {
  await replica.admin.cluster('REPLICATE', master.id);
  await eventually(() => replica.follows(master), AGREEMENT);
}

/** Waits until these servers serve, and have the same idea of who replicates whom and has which slots. */
export async function agreed(servers: readonly ClusterServer[]): Promise<void> {
  await eventually(async () => {
    const ok = await Promise.all(servers.map((server) => server.isOk()));
    const down = servers.filter((_, index) => !ok[index]).map(({ id }) => id);
    if (down.length > 0) throw new Error(`the cluster does not serve, say ${down.join(', ')}`);
    const views = await Promise.all(servers.map((server) => server.view()));
    const arrangements = new Set(views.map(arrangement));
    if (arrangements.size > 1)
      throw new Error(`the servers disagree:\n\n${[...arrangements].join('\n\n')}`);
  }, AGREEMENT);
}
