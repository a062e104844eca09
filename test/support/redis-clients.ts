import { Redis, type RedisOptions } from 'ioredis';

import { within } from './wait.js';

/** What a client may be pointed at: a URL, a server, a proxy. */
export type RedisTarget = string | { readonly url: string };

/** Options of ioredis but for the shape of its replies, which is a matter of types. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>;

/**
 * An ioredis client that keeps silent about broken links, as tests break them on purpose. It gives up a command after
 * one lost connection instead of ioredis' 20, so that a test that waits for the wrong thing fails soon.
 */
export function connect(target: RedisTarget, options: ClientOptions = {}): Redis {
  const url = typeof target === 'string' ? target : target.url;
  const client = new Redis(url, {
    maxRetriesPerRequest: 1,
    // ioredis 6.0.0 makes an unhandled rejection of a resubscription that the end of a test cuts short.
    autoResubscribe: false,
    // From 50 ms and never above: a restarted server is to be found at once.
    retryStrategy: () => 50,
    ...options,
  });
  client.on('error', () => {});
  return client;
}

/** Ends a client whatever its link does, without waiting for a server that may hang. */
export async function disconnect(client: Redis): Promise<void> {
  if (client.status === 'end') return;
  if (client.status === 'reconnecting') {
    // Clears the timer of the next try, and there is no socket: all is gone, but ioredis never emits `end` then.
    client.disconnect();
    return;
  }
  const ended = new Promise<void>((resolve) => {
    client.once('end', () => resolve());
  });
  client.disconnect();
  // disconnect() alone ends the stream and gives a silent peer two seconds.
  destroyStream(client);
  await within(20_000, new Error(`a client is still ${client.status}`), ended);
}

function destroyStream(client: Redis): void {
  // Absent while the client has not connected yet, whatever its types say.
  const connection: Partial<Pick<Redis, 'stream'>> = client;
  connection.stream?.destroy();
}
