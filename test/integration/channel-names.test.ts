import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { describe, expect, it } from 'vitest';

import { forgetChannelNames } from '../../src/redis/client/channel-names.js';
import { disconnect } from '../support/redis-clients.js';
import { uniqueKey, useRedis } from '../support/redis.js';
import { within } from '../support/wait.js';

const redis = useRedis();

interface Subscriber {
  channels(type: 'subscribe'): string[];
}

const subscriberOf = (client: Redis): Subscriber | false | undefined =>
  (client.condition as { subscriber?: Subscriber | false } | null)?.subscriber;

describe.each<[string, boolean, (url: string) => Redis]>([
  ['ioredis 6', false, (url) => new Redis(url)],
  ['ioredis 6 with protocol 2', true, (url) => new Redis(url, { protocol: 2 })],
  ['ioredis 5', true, (url) => new Redis5(url) as unknown as Redis],
])('a subscriber connection without the names of its channels, %s,', (_name, restricted, make) => {
  it('receives hints, unsubscribes and subscribes again', async () => {
    const client = redis.track(make(redis.url), disconnect);
    const sender = redis.connect();
    await client.ping();
    forgetChannelNames(client);
    const [one, other] = [uniqueKey('one'), uniqueKey('other')];
    const heard = (channel: string): Promise<unknown> =>
      within(
        5_000,
        new Error('nothing heard'),
        new Promise((resolve) => {
          client.once('message', (from: string) => from === channel && resolve(from));
        }),
      );
    // The second time the set is a new one.
    for (let round = 0; round < 2; round += 1) {
      expect(await client.subscribe(one, other)).toBe(2);
      expect(client.mode).toBe(restricted ? 'subscriber' : 'normal');
      const subscriber = subscriberOf(client);
      expect(subscriber && subscriber.channels('subscribe')).toEqual([]);
      const message = heard(one);
      await sender.publish(one, 'x');
      await message;
      expect(await client.unsubscribe(one)).toBe(1);
      expect(await client.unsubscribe(other)).toBe(0);
      expect(subscriberOf(client)).toBe(false);
      expect(await client.ping()).toBe('PONG');
    }
  });
});

it('an ioredis client without channel names stays as it is', () => {
  const client = { condition: null } as unknown as Redis;
  forgetChannelNames(client);
  forgetChannelNames({} as unknown as Redis);
  expect(client.condition).toBeNull();
});
