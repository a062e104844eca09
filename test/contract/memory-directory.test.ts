import { describe, it } from 'vitest';

import { CredentialMemory, MemoryCredentialDirectory } from 'credstream';
import {
  type ContractHarness,
  registerCredentialStoreContract,
  VirtualClock,
} from 'credstream/testing';

const PREFIX = 'app:';

function createHarness(): ContractHarness {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  return {
    createStore: (_instance, { key, ...options }) =>
      new MemoryCredentialDirectory({ ...options, prefix: PREFIX, memory: memory }).store(key),
    now: () => clock.now(),
    advance: (ms) => clock.advance(ms),
    outside: {
      get: async (key) => memory.get(PREFIX + key),
      ttlMs: async (key) => memory.ttlMs(PREFIX + key),
      set: async (key, value, ttlMs) => {
        memory.set(PREFIX + key, value, ttlMs === undefined ? {} : { ttlMs });
      },
      expire: async (key, ttlMs) => {
        memory.expire(PREFIX + key, ttlMs);
      },
      delete: async (key) => {
        memory.delete(PREFIX + key);
      },
    },
  };
}

describe('the stores of a MemoryCredentialDirectory', () => {
  registerCredentialStoreContract((name, run) => {
    // A directory names the id where a store names the key; see the tests of its options.
    if (!name.includes('refuses wrong options when it is made')) it(name, run);
  }, createHarness);
});
