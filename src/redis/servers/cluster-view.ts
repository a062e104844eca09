import type { CommandConnection } from '../connection/connection.js';
import { malformed, replyLines, replyList, replyText, replyWhole } from '../reply-parser.js';
import { SLOTS } from '../keys.js';
import { hostOr, createAddress, parseAddress, type Address } from '../client/address.js';

/** The longest host name is one of DNS. */
const MAX_HOST_LENGTH = 255;
const MAX_INFO_LENGTH = 65_536;
/** A line of a few hundred characters for each of a thousand servers, and the ranges of slots. */
const MAX_NODES_LENGTH = 4_194_304;

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
    connection.call(
      (client) => client.call('CLUSTER', 'SLOTS'),
      (reply) => replySlots(reply, from),
    ),
  ]);
  return { epoch, ...slots };
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
  const text = await permitted(connection, 'CLUSTER NODES', () =>
    connection.call(
      (client) => client.call('CLUSTER', 'NODES'),
      (reply) => replyLines(reply, MAX_NODES_LENGTH),
    ),
  );
  if (text === undefined) return NO_MOVES;
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

function epochSeenBy(connection: CommandConnection): Promise<number | undefined> {
  return permitted(connection, 'CLUSTER INFO', () =>
    connection.call(
      (client) => client.call('CLUSTER', 'INFO'),
      (reply) => {
        const text = replyLines(reply, MAX_INFO_LENGTH);
        const [, digits] = /^cluster_current_epoch:(\d+)/m.exec(text) ?? [];
        return digits === undefined ? undefined : replyWhole(Number(digits), 0);
      },
    ),
  );
}

/**
 * Sends a command that a user can do without; `undefined` where Redis refuses it.
 *
 * @throws ConnectionLostError, or a passing error reply
 */
async function permitted<R>(
  { refused }: CommandConnection,
  name: string,
  send: () => Promise<R>,
): Promise<R | undefined> {
  if (refused?.mayTry(name) === false) return undefined;
  const reply = send();
  return refused === undefined ? reply : refused.attempt(name, reply);
}

/** @throws MalformedReplyError */
function replySlots(reply: unknown, from: string): Pick<ClusterView, 'ranges' | 'replicas'> {
  const entries = replyList(reply);
  if (entries.length > SLOTS) malformed();
  const ranges: SlotRange[] = [];
  const replicas: Address[] = [];
  for (const entry of entries) {
    const [first, last, master, ...others] = replyList(entry);
    const start = replyWhole(first, 0, SLOTS - 1);
    const end = replyWhole(last, start, SLOTS - 1);
    const at = replyAddress(master, from);
    if (at !== undefined) ranges.push({ from: start, to: end, master: at });
    for (const other of others) {
      const replica = replyAddress(other, from);
      if (replica !== undefined) replicas.push(replica);
    }
  }
  return { ranges, replicas };
}

/** A server without a known port has none, or 0. @throws MalformedReplyError */
function replyAddress(entry: unknown, from: string): Address | undefined {
  const [host, port] = replyList(entry);
  const name = host === null ? '' : replyText(host, MAX_HOST_LENGTH);
  const number = port === null ? 0 : replyWhole(port, 0, 65_535);
  return number > 0 ? createAddress(hostOr(name, from), number) : undefined;
}
