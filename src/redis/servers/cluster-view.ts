import { isPassing, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { hostOr, createAddress, parseAddress, type Address } from '../client/address.js';

/** What one node says of the whole cluster. */
export interface ClusterView {
  /** How new it is: a failover or a moved slot makes a greater one. `undefined` where the node may not be asked for it. */
  readonly epoch: number | undefined;
  readonly ranges: readonly SlotRange[];
  /** The others, which know the cluster too. */
  readonly replicas: readonly Address[];
}

export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly master: Address;
}

/**
 * Asks a node.
 *
 * @param from - the host under which it was reached
 * @throws LinkLostError, or an error reply of Redis
 */
export async function askForView(link: CommandConnection, from: string): Promise<ClusterView> {
  // The epoch first: a view may be taken for older than it is, and never for newer.
  const [epoch, slots] = await Promise.all([
    epochSeenBy(link),
    link.call((client) => client.call('CLUSTER', 'SLOTS')),
  ]);
  const ranges: SlotRange[] = [];
  const replicas: Address[] = [];
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

/** Slots that are on their way from a node or to it. */
export interface SlotMoves {
  readonly open: boolean;
  /** Where those go that leave it. */
  readonly targets: readonly Address[];
}

const NO_MOVES: SlotMoves = { open: false, targets: [] };

/**
 * Asks a node which slots are moving; who may not ask for that takes them for resting.
 *
 * @param from - the host under which it was reached
 * @throws LinkLostError, or a passing error reply
 */
export async function askForMoves(link: CommandConnection, from: string): Promise<SlotMoves> {
  let text: string;
  try {
    text = String(await link.call((client) => client.call('CLUSTER', 'NODES')));
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return NO_MOVES;
  }
  const nodes = text.split('\n').map((line) => line.split(' '));
  const addresses = new Map(nodes.map(([id = '', address = '']) => [id, address]));
  const own = nodes.find(([, , flags = '']) => flags.split(',').includes('myself')) ?? [];
  // `[slot->-id]` leaves it, `[slot-<-id]` comes to it.
  const moving = own.filter((part) => part.startsWith('['));
  const targets = moving.flatMap((part) => {
    const [, id = ''] = /->-([0-9a-f]+)\]$/.exec(part) ?? [];
    const [address = ''] = (addresses.get(id) ?? '').split(/[@,]/);
    return parseAddress(address, from) ?? [];
  });
  return { open: moving.length > 0, targets };
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

function addressIn(node: unknown, from: string): Address | undefined {
  if (!Array.isArray(node)) return undefined;
  const [host, port] = node as unknown[];
  return Number(port) > 0 ? createAddress(hostOr(host, from), Number(port)) : undefined;
}
