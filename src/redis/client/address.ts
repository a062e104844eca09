import type { Redis } from 'ioredis';

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

/** Host and port of a connection as messages show them, or the path of its socket; behind sentinels the master that they named. */
export function addressOf(client: Redis): string {
  const { path, host = 'localhost', port = 6379, sentinels } = client.options;
  if (path) return path;
  if (!sentinels?.length) return `${host}:${String(port)}`;
  const { stream } = client as { stream?: { remoteAddress?: string; remotePort?: number } };
  const { remoteAddress, remotePort } = stream ?? {};
  return remoteAddress === undefined
    ? 'the master of the sentinels'
    : `${remoteAddress}:${String(remotePort)}`;
}
