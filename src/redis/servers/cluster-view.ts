import { isPassing, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { hostOr, createAddress, parseAddress, type Address } from '../client/address.js';

/** The view that one server has of the whole cluster. */
export interface ClusterView {
  /** The age of the view: a failover or a moved slot increases the epoch. `undefined` where the server does not permit the command. */
  readonly epoch: number | undefined;
  readonly ranges: readonly SlotRange[];
  /** The replicas, which know the cluster too. */
  readonly replicas: readonly Address[];
}

export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly master: Address;
}

/**
 * Asks a server for its view.
 *
 * @param from - the host under which the server was reached
 * @throws ConnectionLostError, or an error reply of Redis
 */
export async function askForView(
  connection: CommandConnection,
  from: string,
): Promise<ClusterView> {
  // The epoch is read first: a view may pass for older than it is, but never for newer.
  const [epoch, slots] = await Promise.all([
    epochSeenBy(connection),
    connection.call((client) => client.call('CLUSTER', 'SLOTS')),
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

/** The slots that are moving from a server or to it. */
export interface SlotMoves {
  readonly open: boolean;
  /** The servers to which slots are moving. */
  readonly targets: readonly Address[];
}

const NO_MOVES: SlotMoves = { open: false, targets: [] };

/**
 * Asks a server for its moving slots; a user without the permission gets none.
 *
 * @param from - the host under which the server was reached
 * @throws ConnectionLostError, or a passing error reply
 */
export async function askForMoves(connection: CommandConnection, from: string): Promise<SlotMoves> {
  let text: string;
  try {
    text = String(await connection.call((client) => client.call('CLUSTER', 'NODES')));
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return NO_MOVES;
  }
  const nodes = text.split('\n').map((line) => line.split(' '));
  const addresses = new Map(nodes.map(([id = '', address = '']) => [id, address]));
  const own = nodes.find(([, , flags = '']) => flags.split(',').includes('myself')) ?? [];
  // `[slot->-id]` leaves the server, `[slot-<-id]` comes to it.
  const moving = own.filter((part) => part.startsWith('['));
  const targets = moving.flatMap((part) => {
    const [, id = ''] = /->-([0-9a-f]+)\]$/.exec(part) ?? [];
    const [address = ''] = (addresses.get(id) ?? '').split(/[@,]/);
    return parseAddress(address, from) ?? [];
  });
  return { open: moving.length > 0, targets };
}

async function epochSeenBy(connection: CommandConnection): Promise<number | undefined> {
  try {
    const text = String(await connection.call((client) => client.call('CLUSTER', 'INFO')));
    const [, digits] = /^cluster_current_epoch:(\d+)/m.exec(text) ?? [];
    return digits === undefined ? undefined : Number(digits);
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return undefined;
  }
}

function addressIn(entry: unknown, from: string): Address | undefined {
  if (!Array.isArray(entry)) return undefined;
  const [host, port] = entry as unknown[];
  return Number(port) > 0 ? createAddress(hostOr(host, from), Number(port)) : undefined;
}
