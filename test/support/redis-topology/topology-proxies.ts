import { createTcpProxy, type TcpProxy } from '../tcp-proxy.js';

interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * A proxy before every server of a topology, for one client alone: the servers and all other clients go on reaching each other. Give
 * `natMap` to the client, so that it takes the addresses that servers tell for those of the proxies.
 */
export class TopologyProxies implements AsyncDisposable {
  /** For the option of that name; learns of servers that are added later. */
  readonly natMap: Record<string, { host: string; port: number }> = {};
  readonly #proxies = new Map<string, TcpProxy>();

  /** Puts a proxy before each of them. */
  static async before(servers: readonly Address[]): Promise<TopologyProxies> {
    const proxies = new TopologyProxies();
    await Promise.all(servers.map((server) => proxies.add(server)));
    return proxies;
  }

  /** Before one more. */
  async add({ host, port }: Address): Promise<TcpProxy> {
    const proxy = await createTcpProxy({ target: { host, port } });
    this.#proxies.set(nameOf({ host, port }), proxy);
    this.natMap[nameOf({ host, port })] = { host: proxy.host, port: proxy.port };
    return proxy;
  }

  /** The proxy before a server. */
  of(server: Address): TcpProxy {
    const proxy = this.#proxies.get(nameOf(server));
    if (proxy === undefined) throw new Error(`there is no proxy before ${nameOf(server)}`);
    return proxy;
  }

  /** Where a client with `natMap` starts from. */
  addresses(): { host: string; port: number }[] {
    return [...this.#proxies.values()].map(({ host, port }) => ({ host, port }));
  }

  /** Cuts the client off from a server: nothing arrives any more and nobody says so, or with `refused` a closed port does. */
  cut(server: Address, how: 'silently' | 'refused' = 'silently'): void {
    const proxy = this.of(server);
    if (how === 'silently') proxy.pause();
    else proxy.refuse({ reset: true });
  }

  /** Takes `cut` back; what was held flows on. */
  heal(server: Address): Promise<void> {
    return this.of(server).heal();
  }

  /** Resets what is connected. */
  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function nameOf({ host, port }: Address): string {
  return `${host}:${String(port)}`;
}
