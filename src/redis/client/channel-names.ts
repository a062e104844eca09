import type { Redis } from 'ioredis';

type Subscriber = Partial<Record<'add' | 'del', () => void>> | false;

/**
 * Keeps ioredis from remembering every channel of this connection by name. It needs the names only to subscribe again after it has mended
 * a connection, which ours never lets it; with thousands of keys they would be a tenth of all memory. That anything is subscribed to is
 * remembered as always, because ioredis reads replies by it.
 */
export function forgetChannelNames(client: Redis): void {
  const condition: unknown = client.condition;
  if (typeof condition !== 'object' || condition === null || !('subscriber' in condition)) return;
  // Made anew by each first subscription; `false` before it and after the last one is gone.
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
