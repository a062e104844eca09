/** Where a node of a cluster is reached. */
export interface Address {
  /** Host and port in one, for telling nodes apart. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export function createAddress(host: string, port: number): Address {
  return { name: `${host}:${String(port)}`, host, port };
}

/**
 * Reads what a redirection names; hosts may hold colons.
 *
 * @param from - the host that said so: it is meant where none is named
 */
export function parseAddress(text: string, from: string): Address | undefined {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (colon === -1 || !Number.isInteger(port) || port <= 0) return undefined;
  return createAddress(hostOr(text.slice(0, colon), from), port);
}

/** A node that does not know its own host leaves it out, or writes a question mark. */
export function hostOr(host: unknown, from: string): string {
  return typeof host === 'string' && host !== '' && host !== '?' ? host : from;
}
