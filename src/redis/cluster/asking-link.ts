import type { Redis } from 'ioredis';
import type { Clock } from '../../clock.js';
import type { Commanding } from '../command-link.js';
import type { CommandConnection } from '../redis-link.js';
import { RedisObserver } from '../redis-observing.js';
import { RedisWriting } from '../redis-writing.js';

/** A connection to the node that a slot is moving to, which serves keys of it only when asked for them in this way. */
class AskingLink implements CommandConnection {
  readonly asks = true;
  readonly #link: CommandConnection;

  constructor(link: CommandConnection) {
    this.#link = link;
  }

  get open(): boolean {
    return this.#link.open;
  }

  /** @param send - sends one command, or a transaction: that is how far the asking reaches */
  call<R>(send: (client: Redis) => Promise<R>): Promise<R> {
    return this.#link.call((client) => {
      // Its own failure shows in what follows.
      client.call('ASKING').catch(() => undefined);
      return send(client);
    });
  }

  kill(): void {
    this.#link.kill();
  }
}

export function asking(commanding: Commanding, clock: Clock, stageName: () => string): Commanding {
  const link = new AskingLink(commanding.link);
  return {
    ...commanding,
    get announcing() {
      return commanding.announcing;
    },
    set announcing(announcing) {
      commanding.announcing = announcing;
    },
    get refusedAt() {
      return commanding.refusedAt;
    },
    set refusedAt(refusedAt) {
      commanding.refusedAt = refusedAt;
    },
    link,
    observer: new RedisObserver(link, clock),
    writing: new RedisWriting(link, stageName),
  };
}
