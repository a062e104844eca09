import { connect, type Socket } from 'node:net';

import type { Direction, Faults, ProxyLink } from './faults.js';
import { Pipe } from './pipe.js';
import { reset } from './reset.js';

const REMEMBERED = 4 * 1024;

/** What a {@link Link} joins. */
export interface LinkSetup {
  readonly id: number;
  readonly client: Socket;
  /** Absent: accepted, read, and never answered. */
  readonly target: { readonly host: string; readonly port: number } | undefined;
  readonly faults: Faults;
  readonly passed: (direction: Direction, count: number) => void;
}

/** One client and the connection to the server that was made for it. */
export class Link implements ProxyLink {
  readonly id: number;
  readonly bytes: Record<Direction, number> = { toServer: 0, toClient: 0 };
  readonly closed: Promise<void>;
  readonly #sockets: readonly Socket[];
  readonly #pipes: Partial<Record<Direction, Pipe>> = {};
  #sentText = '';

  constructor({ id, client, target, faults, passed }: LinkSetup) {
    this.id = id;
    client.setNoDelay(true);
    // Before the interceptors of the pipe run, so that a predicate already knows the chunk it is asked about.
    client.on('data', (chunk: Buffer) => this.#remember(chunk));
    if (target === undefined) {
      this.#sockets = [client];
      client.on('end', () => client.end());
      client.on('error', () => client.destroy());
    } else {
      const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
      this.#sockets = [client, server];
      const pipe = (direction: Direction, source: Socket, sink: Socket): Pipe =>
        new Pipe({
          direction,
          source,
          sink,
          link: this,
          faults,
          passed: (count) => {
            this.bytes[direction] += count;
            passed(direction, count);
          },
        });
      this.#pipes.toServer = pipe('toServer', client, server);
      this.#pipes.toClient = pipe('toClient', server, client);
    }
    this.closed = Promise.all(this.#sockets.map(isClosed)).then(() => {});
  }

  get sentText(): string {
    return this.#sentText;
  }

  cut(): void {
    for (const socket of this.#sockets) reset(socket);
  }

  end(): void {
    for (const socket of this.#sockets) socket.end();
  }

  flush(): void {
    this.#pipes.toServer?.flush();
    this.#pipes.toClient?.flush();
  }

  drop(direction: Direction): void {
    this.#pipes[direction]?.drop();
  }

  /**
   * Cuts so that what has just been passed on in `direction` still arrives: bytes that a reset follows may be lost, bytes
   * that an end follows are not. The other side is reset.
   */
  cutBehind(direction: Direction): void {
    const [client, server] = this.#sockets;
    const [receiver, sender] = direction === 'toServer' ? [server, client] : [client, server];
    receiver?.end();
    if (sender !== undefined) reset(sender);
  }

  #remember(chunk: Buffer): void {
    const room = REMEMBERED - this.#sentText.length;
    if (room > 0) this.#sentText += chunk.toString('latin1', 0, room);
  }
}

function isClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}
