/** One line of CLUSTER NODES: a server as another one sees it. */
export interface SeenServer {
  readonly id: string;
  /** `host:port`, without the bus port. */
  readonly address: string;
  readonly flags: ReadonlySet<string>;
  /** The id of the master that it replicates. */
  readonly masterId: string | undefined;
  readonly linked: boolean;
  /** Ranges of slots, both ends included. */
  readonly slots: readonly (readonly [first: number, last: number])[];
}

/** Reads the reply of CLUSTER NODES. */
export function parseClusterServers(text: string): SeenServer[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [id = '', address = '', flags = '', masterId = '-', , , , link, ...slots] =
      line.split(' ');
    return {
      id,
      address: address.replace(/@.*$/, ''),
      flags: new Set(flags.split(',')),
      masterId: masterId === '-' ? undefined : masterId,
      linked: link === 'connected',
      // `[93->-…]` is a slot that is being moved, and belongs to who has it so far.
      slots: slots.filter((range) => !range.startsWith('[')).map(toRange),
    };
  });
}

/** A master that is not given up. */
export function isMaster({ flags }: SeenServer): boolean {
  return flags.has('master') && !flags.has('fail') && !flags.has('noaddr');
}

/** Whether a slot is this server's. */
export function hasSlot({ slots }: SeenServer, slot: number): boolean {
  return slots.some(([first, last]) => first <= slot && slot <= last);
}

/** Who replicates whom and has which slots, in a form that is the same for two servers that see the same. */
export function arrangement(view: readonly SeenServer[]): string {
  return view
    .filter(({ flags }) => !flags.has('fail'))
    .map(({ id, masterId = '', slots }) => `${id} ${masterId} ${slots.join(' ')}`)
    .toSorted()
    .join('\n');
}

function toRange(range: string): readonly [number, number] {
  const [first = '', last = first] = range.split('-');
  return [Number(first), Number(last)];
}
