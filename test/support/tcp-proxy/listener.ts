import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const HOST = '127.0.0.1';

/** A loopback port that can be closed and opened again while the connections made through it live on. */
export class Listener {
  readonly port: number;
  readonly #connected: (client: Socket) => void;
  #server: Server | undefined;

  constructor(port: number, connected: (client: Socket) => void) {
    this.port = port;
    this.#connected = connected;
  }

  /** Rejects with EADDRINUSE when somebody else has the port; with `patienceMs`, when they keep it for that long. */
  async open(patienceMs = 0): Promise<void> {
    if (this.#server !== undefined) return;
    const deadline = Date.now() + patienceMs;
    for (;;) {
      // A fresh one each time: the last may still count connections.
      const server = createServer({ allowHalfOpen: true }, this.#connected);
      try {
        this.#server = server;
        server.listen(this.port, HOST);
        await once(server, 'listening');
        return;
      } catch (error) {
        this.#server = undefined;
        if (!isTaken(error) || Date.now() >= deadline) throw error;
        await delay(20);
      }
    }
  }

  /** At once: the callback of Node's close() would wait for the connections, while the port itself is closed now. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
  }
}

/** Whether that is EADDRINUSE. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
