/** The address of a server of a cluster. */
export interface Address {
  /** Host and port in one, as the identity of the server. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export function createAddress(host: string, port: number): Address {
  return { name: `${host}:${String(port)}`, host, port };
}

/**
 * Parses the address in a redirection; hosts may hold colons.
 *
 * @param from - the host of the server that replied; it is meant where the redirection names none
 */
export function parseAddress(text: string, from: string): Address | undefined {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (colon === -1 || !Number.isInteger(port) || port <= 0) return undefined;
  return createAddress(hostOr(text.slice(0, colon), from), port);
}

/** A server that does not know its own host leaves it out, or writes a question mark. */
export function hostOr(host: unknown, from: string): string {
  return typeof host === 'string' && host !== '' && host !== '?' ? host : from;
}
