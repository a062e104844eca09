import type { Observation } from '../../backend/backend.js';
import type { CommandSession } from '../commands/channel.js';
import type { Feed } from '../feed/feed.js';
import { Server, type ServerContext } from './server.js';
import type { Servers } from './servers.js';
import type { ServerTemplate } from '../client/server-template.js';

/** One server has all keys; with Sentinel one at a time. */
export class SingleServer implements Servers {
  readonly #server: Server;

  constructor(template: ServerTemplate, context: ServerContext) {
    this.#server = new Server(template, context, {
      readsTogether: true,
      ownKey: (kind) => context.names.own(kind),
      linkLost: () => undefined,
      openFailed: context.connectFailed,
    });
  }

  get feed(): Feed {
    return this.#server.feed;
  }

  withSession<R>(_key: string, use: (session: CommandSession) => Promise<R>): Promise<R> {
    return this.#server.withSession(use);
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#server.read(key, maxBytes);
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#server.keys(prefix);
  }

  setCanAnnounce(canAnnounce: boolean): void {
    this.#server.feed.setCanAnnounce(canAnnounce);
  }

  applySettings(): void {
    this.#server.feed.applySettings();
  }

  close(timeoutMs: number): Promise<void> {
    return this.#server.close(timeoutMs);
  }
}
