import type { Redis } from 'ioredis';

type Subscriber = Partial<Record<'add' | 'del', () => void>> | false;

/**
 * Keeps ioredis from remembering the name of every channel of this connection. ioredis needs the names only to subscribe again after a
 * reconnect, which our connections never do; with thousands of keys the names would be a tenth of all memory. ioredis still remembers that
 * there is a subscription, because its reply parser depends on it.
 */
export function forgetChannelNames(client: Redis): void {
  const condition: unknown = client.condition;
  if (typeof condition !== 'object' || condition === null || !('subscriber' in condition)) return;
  // Created anew by each first subscription; `false` before it and after the last one is gone.
  let subscriber = withoutNames(condition.subscriber as Subscriber);
  Object.defineProperty(condition, 'subscriber', {
    configurable: true,
    enumerable: true,
    get: () => subscriber,
    set: (next: Subscriber) => {
      subscriber = withoutNames(next);
    },
  });
}

function withoutNames(subscriber: Subscriber): Subscriber {
  if (typeof subscriber !== 'object') return subscriber;
  subscriber.add = () => undefined;
  subscriber.del = () => undefined;
  return subscriber;
}
