import { describe, expect, it } from 'vitest';

import { CredentialMemory, MemoryCredentialStore } from 'credstream';
import {
  type ContractHarness,
  credentialStoreContract,
  registerCredentialStoreContract,
  VirtualClock,
} from 'credstream/testing';

interface MemoryHarness extends ContractHarness {
  readonly clock: VirtualClock;
}

function createHarness(): MemoryHarness {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  return {
    clock,
    createStore: (_instance, options) => new MemoryCredentialStore({ ...options, memory: memory }),
    now: () => clock.now(),
    advance: (ms) => clock.advance(ms),
    outside: {
      get: async (key) => memory.get(key),
      ttlMs: async (key) => memory.ttlMs(key),
      set: async (key, value, ttlMs) => {
        memory.set(key, value, ttlMs === undefined ? {} : { ttlMs });
      },
      expire: async (key, ttlMs) => {
        memory.expire(key, ttlMs);
      },
      delete: async (key) => {
        memory.delete(key);
      },
    },
  };
}

describe('MemoryCredentialStore', () => {
  registerCredentialStoreContract((name, run) => it(name, run), createHarness);
});

describe('credentialStoreContract', () => {
  it('leaves no timer behind in any case', async () => {
    const left: [name: string, timers: number][] = [];
    const cases = credentialStoreContract();
    for (const { name, run } of cases) {
      const { clock, ...harness } = createHarness();
      await run(harness);
      await clock.settle();
      left.push([name, clock.pendingTimers]);
    }
    expect(left).toEqual(cases.map(({ name }) => [name, 0]));
  });
});
