import type { Socket } from 'node:net';

import { freePort } from './free-port.js';
import {
  type Direction,
  type Directions,
  Faults,
  type Interceptor,
  type ProxyLink,
  type Select,
} from './tcp-proxy/faults.js';
import { Link } from './tcp-proxy/link.js';
import { isTaken, Listener } from './tcp-proxy/listener.js';

export type { Direction, Directions, Interceptor, ProxyLink, Select } from './tcp-proxy/faults.js';

/** Which connections a fault hits, now and later. Default: all. */
export interface Aim {
  readonly select?: Select;
}

/** Selects connections that have sent SUBSCRIBE, PSUBSCRIBE or SSUBSCRIBE, so the fault hits the subscriber alone. */
export const subscribers: Select = (link) => /\r\n[ps]?subscribe\r\n/i.test(link.sentText);

/** Selects the others. */
export const nonSubscribers: Select = (link) => !subscribers(link);

const everyLink: Select = () => true;

/** For a port that was ours: another test may just be trying whether it is free. */
const PATIENCE_MS = 5_000;

/** Starts a {@link TcpProxy} on a free loopback port. A `RedisServer` is a target. */
export async function createTcpProxy(options: {
  readonly target: { readonly host: string; readonly port: number };
}): Promise<TcpProxy> {
  for (;;) {
    const proxy = new TcpProxy(options.target, await freePort());
    try {
      await proxy.open();
      return proxy;
    } catch (error) {
      if (!isTaken(error)) throw error;
    }
  }
}

/**
 * Stands between clients and a server and breaks the network on demand. Faults last until taken back and hit existing
 * and new connections alike; bytes are never reordered within a direction.
 */
export class TcpProxy implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  /** Bytes passed on, over all connections. */
  readonly bytes: Record<Direction, number> = { toServer: 0, toClient: 0 };
  /** Where new connections go; set it to point clients at another server. */
  target: { readonly host: string; readonly port: number };
  /** Resolves when `close()` is through. */
  readonly closed: Promise<void>;
  readonly #faults = new Faults();
  readonly #links = new Set<Link>();
  readonly #listener: Listener;
  #holding = false;
  #accepted = 0;
  #resolveClosed!: () => void;

  constructor(target: { readonly host: string; readonly port: number }, port: number) {
    this.target = { host: target.host, port: target.port };
    this.port = port;
    this.#listener = new Listener(port, (client) => this.#connect(client));
    this.url = `redis://${this.host}:${port}`;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Connections open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Connections accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** The open connections. */
  get links(): readonly ProxyLink[] {
    return [...this.#links];
  }

  /** Resets connections on both sides. */
  cut(aim?: Aim): void {
    for (const link of this.#selected(aim)) link.cut();
  }

  /** Ends connections cleanly on both sides. */
  end(aim?: Aim): void {
    for (const link of this.#selected(aim)) link.end();
  }

  /** New connections are refused, as by a closed port. Those that exist stay, or are reset. */
  refuse({ reset = false, ...aim }: Aim & { readonly reset?: boolean } = {}): void {
    this.#listener.close();
    if (reset) this.cut(aim);
  }

  /** Starts to listen, without waiting for whoever may have the port. */
  async open(): Promise<void> {
    await this.#listener.open();
  }

  /** Takes `refuse()` and `hold()` back, on the same port. Held connections stay silent. */
  async accept(): Promise<void> {
    this.#holding = false;
    await this.#listener.open(PATIENCE_MS);
  }

  /** New connections are accepted and read, and nothing ever answers. */
  async hold(): Promise<void> {
    this.#holding = true;
    await this.#listener.open(PATIENCE_MS);
  }

  /** A black hole: bytes, ends and resets are held, and neither side is told. Beyond 64 KiB the sender's buffer fills. */
  pause(direction: Directions = 'both', { select = everyLink }: Aim = {}): void {
    this.#faults.pause(direction, select);
  }

  /**
   * What was held flows on, or with `drop` its bytes are lost. With `select`, takes back only pauses made with that very
   * function; `drop` then hits only what it selects.
   */
  resume(
    direction: Directions = 'both',
    { drop = false, select }: Aim & { readonly drop?: boolean } = {},
  ): void {
    this.#faults.resume(direction, select);
    for (const link of this.#selected({ select: select ?? everyLink })) {
      if (drop && direction !== 'toClient') link.drop('toServer');
      if (drop && direction !== 'toServer') link.drop('toClient');
      link.flush();
    }
  }

  /** Latency; 0 ends it. The last delay made that selects a connection counts. */
  delay(ms: number, direction: Directions = 'both', { select = everyLink }: Aim = {}): void {
    this.#faults.delay(ms, direction, select);
  }

  /** Passes bytes on in pieces of that size with a gap between them; 0 bytes ends it. */
  slice(
    bytes: number,
    gapMs: number,
    direction: Directions = 'both',
    { select = everyLink }: Aim = {},
  ): void {
    this.#faults.slice({ bytes, gapMs }, direction, select);
  }

  /** Lets `interceptor` see, change or swallow what passes; returns what takes it away again. */
  onData(
    direction: Directions,
    interceptor: Interceptor,
    { select = everyLink }: Aim = {},
  ): () => void {
    return this.#faults.intercept(interceptor, direction, select);
  }

  /**
   * Cuts a connection once, right after the bytes with `marker` (ASCII, in any case) have been delivered: with `toServer`
   * the server has the command and the client never gets the reply. Resolves with that connection.
   */
  cutAfter(
    direction: Direction,
    marker: string,
    { select = everyLink }: Aim = {},
  ): Promise<ProxyLink> {
    const wanted = marker.toLowerCase();
    const seen = new WeakMap<ProxyLink, string>();
    return new Promise((resolve) => {
      const interceptor: Interceptor = (chunk, link, afterwards) => {
        const text = (seen.get(link) ?? '') + chunk.toString('latin1').toLowerCase();
        // A marker may arrive in two chunks.
        seen.set(link, text.slice(-wanted.length));
        if (!text.includes(wanted)) return;
        stopIntercepting();
        afterwards(() => {
          [...this.#links].find(({ id }) => id === link.id)?.cutBehind(direction);
          resolve(link);
        });
      };
      const stopIntercepting = this.#faults.intercept(interceptor, direction, select);
    });
  }

  /** A perfect network again: every fault and interceptor is taken back. */
  async heal(): Promise<void> {
    this.#faults.clear();
    for (const link of this.#links) link.flush();
    await this.accept();
  }

  /** Final: stops listening and resets what is connected. */
  async close(): Promise<void> {
    const links = [...this.#links];
    this.refuse({ reset: true });
    await Promise.all(links.map((link) => link.closed));
    this.#resolveClosed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #selected({ select = everyLink }: Aim = {}): Link[] {
    return [...this.#links].filter(select);
  }

  #connect(client: Socket): void {
    this.#accepted += 1;
    const link = new Link({
      id: this.#accepted,
      client,
      target: this.#holding ? undefined : this.target,
      faults: this.#faults,
      passed: (direction, count) => {
        this.bytes[direction] += count;
      },
    });
    this.#links.add(link);
    void link.closed.then(() => this.#links.delete(link));
  }
}
