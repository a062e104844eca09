import { isPassing, replyWord } from '../redis-errors.js';
import type { CommandConnection } from '../redis-link.js';
import { hostOr, nodeAddress, type NodeAddress } from './node-address.js';

/** What one node says of the whole cluster. */
export interface ClusterView {
  /** How new it is: a failover or a moved slot makes a greater one. `undefined` where the node may not be asked for it. */
  readonly epoch: number | undefined;
  readonly ranges: readonly SlotRange[];
  /** The others, which know the cluster too. */
  readonly replicas: readonly NodeAddress[];
}

export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly master: NodeAddress;
}

/**
 * Asks a node.
 *
 * @param from - the host under which it was reached
 * @throws LinkLostError, or an error reply of Redis
 */
export async function askForView(link: CommandConnection, from: string): Promise<ClusterView> {
  const [slots, epoch] = await Promise.all([
    link.call((client) => client.call('CLUSTER', 'SLOTS')),
    epochSeenBy(link),
  ]);
  const ranges: SlotRange[] = [];
  const replicas: NodeAddress[] = [];
  for (const entry of Array.isArray(slots) ? (slots as unknown[][]) : []) {
    const [first, last, master, ...others] = entry;
    const at = addressIn(master, from);
    if (at !== undefined) ranges.push({ from: Number(first), to: Number(last), master: at });
    for (const other of others) {
      const replica = addressIn(other, from);
      if (replica !== undefined) replicas.push(replica);
    }
  }
  return { epoch, ranges, replicas };
}

async function epochSeenBy(link: CommandConnection): Promise<number | undefined> {
  try {
    const text = String(await link.call((client) => client.call('CLUSTER', 'INFO')));
    const [, digits] = /^cluster_current_epoch:(\d+)/m.exec(text) ?? [];
    return digits === undefined ? undefined : Number(digits);
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return undefined;
  }
}

function addressIn(node: unknown, from: string): NodeAddress | undefined {
  if (!Array.isArray(node)) return undefined;
  const [host, port] = node as unknown[];
  return Number(port) > 0 ? nodeAddress(hostOr(host, from), Number(port)) : undefined;
}
