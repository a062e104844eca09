import { expect, onTestFinished } from 'vitest';

import {
  CredentialMemory,
  type Invalidation,
  invalidate,
  type InvalidateOptions,
  type KeyedCache,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { bytesOf, type Reported, type Token } from './derive-world.js';

/** Without `keys`: the entry `k`. */
type KeepOptions = Pick<InvalidateOptions, 'onRenewed' | 'removalTimeoutMs'> & {
  readonly keys?: NonNullable<InvalidateOptions['keys']>;
};

interface InvalidateWorld {
  readonly clock: VirtualClock;
  readonly memory: CredentialMemory;
  readonly store: MemoryCredentialStore<Token>;
  readonly reported: Reported[];
  readonly save: (token: string) => Promise<void>;
  readonly keep: (target: KeyedCache, options?: KeepOptions) => Invalidation;
}

export function invalidateWorld(
  options: Partial<MemoryCredentialStoreOptions<Token>> = {},
): InvalidateWorld {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock, random: () => 0 });
  const store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory, ...options });
  const reported: Reported[] = [];
  const made: Invalidation[] = [];
  onTestFinished(async () => {
    for (const one of made) one.close();
    await store.close();
    expect(clock.pendingTimers).toBe(0);
  });
  return {
    clock,
    memory,
    store,
    reported,
    save: async (token) => {
      memory.set('k', bytesOf(token));
      await clock.settle();
    },
    keep: (target, more = {}) => {
      const onCallbackError = (error: unknown, where: string) =>
        void reported.push({ error, where });
      const kept = invalidate(target, store, {
        keys: 'k',
        onCallbackError: onCallbackError,
        ...more,
      });
      made.push(kept);
      return kept;
    },
  };
}
