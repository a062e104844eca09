import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';

import type { Subscriber } from '../../../src/backend/backend.js';
import { HelperNames } from '../../../src/redis/commands/helper-names.js';
import type { Connection } from '../../../src/redis/connection/connection.js';
import { MutedChannels } from '../../../src/redis/feed/hints/muted-channels.js';
import { Subscriptions } from '../../../src/redis/feed/subscriptions.js';
import { WatchedKey } from '../../../src/redis/feed/watched-keys.js';
import { deferred } from '../../support/wait.js';

it('a channel that is flooded again before it was returned to is left again', async () => {
  const sent: string[] = [];
  const answered = deferred<number>();
  const command = (name: string) => (channel: string) => {
    sent.push(`${name} ${channel}`);
    return answered.promise;
  };
  const client = {
    condition: null,
    subscribe: command('subscribe'),
    unsubscribe: command('unsubscribe'),
  };
  const connection = {
    client,
    call: (send: (one: Redis) => Promise<unknown>) => send(client as unknown as Redis),
  } as unknown as Connection;
  const muted = new MutedChannels<WatchedKey>();
  const names = new HelperNames('credstream', 'instance');
  const subscriptions = new Subscriptions(connection, 0, names, muted);
  // The test depends on neither the subscriber nor the feed.
  const [subscriber, feed] = [{} as Subscriber, {} as WatchedKey['feed']];
  const watched = new WatchedKey('token', subscriber, feed);
  watched.subscribedTo = 'keyspace';
  muted.add(watched, 'announcements');

  const returning = subscriptions.unmute();
  const leaving = subscriptions.mute(watched, 'announcements');
  answered.resolve(1);
  await Promise.all([returning, leaving]);
  expect(watched.subscribedTo).toBe('keyspace');
  expect(sent.at(-1)).toBe('unsubscribe credstream:0:token');
});
