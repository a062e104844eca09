import { connect, type Socket } from 'node:net';
import type { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import type { Clock } from '../../time/clock.js';
import { setLongTimeout } from '../../time/timers.js';

const MAX_LENGTH = 256;
const READ_MS = 500;

/**
 * Keeps the error that a server sends in place of any reply before it closes a new connection: it takes no more clients, or is in protected
 * mode. ioredis drops that error when the connection ends during its handshake.
 */
export class RefusedConnection {
  readonly #client: Redis;
  readonly #clock: Clock;
  #error: Error | undefined;

  /** @param client - not connected yet */
  constructor(client: Redis, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    client.once('connect', () => {
      const { stream } = client as { stream?: EventEmitter };
      stream?.once('data', (bytes: Buffer) => {
        this.#error = refusalIn(bytes);
      });
    });
  }

  /**
   * The error, as ioredis would have made it, after the connection failed. The first command may break the connection before the error of
   * the server was read; a second connection without any command then shows it.
   */
  async error(failure: unknown, signal: AbortSignal): Promise<Error | undefined> {
    if (this.#error !== undefined || !isBroken(failure) || signal.aborted) return this.#error;
    const { path, host, port, tls, sentinels, family } = this.#client.options;
    if (tls !== undefined || sentinels?.length) return undefined;
    const socket = path
      ? connect({ path })
      : connect({ host: host ?? 'localhost', port: port ?? 6379, ...(family && { family }) });
    return this.#readRefusal(socket, signal);
  }

  #readRefusal(socket: Socket, signal: AbortSignal): Promise<Error | undefined> {
    return new Promise((resolve) => {
      const end = (error?: Error): void => {
        cancel();
        signal.removeEventListener('abort', aborted);
        socket.destroy();
        resolve(error);
      };
      const aborted = (): void => {
        end();
      };
      const cancel = setLongTimeout(this.#clock, READ_MS, aborted);
      signal.addEventListener('abort', aborted, { once: true });
      socket.once('data', (bytes) => {
        end(refusalIn(bytes));
      });
      // The error of this connection says nothing of the first one.
      socket.once('error', aborted).once('close', aborted);
    });
  }
}

function isBroken(failure: unknown): boolean {
  if (!(failure instanceof Error) || !('code' in failure)) return false;
  return failure.code === 'EPIPE' || failure.code === 'ECONNRESET';
}

function refusalIn(bytes: Buffer): Error | undefined {
  const [, line] = /^-([^\r\n]+)/.exec(bytes.toString('latin1', 0, MAX_LENGTH)) ?? [];
  // After these ioredis goes on with RESP2.
  if (line === undefined || /NOPROTO|HELLO/i.test(line)) return undefined;
  return Object.assign(new Error(line), { name: 'ReplyError' });
}
