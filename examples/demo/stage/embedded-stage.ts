import { CredentialMemory, MemoryCredentialStore } from 'credstream';

import type { Tokens } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
import { monotonicMs } from '../monotonic-clock.js';
import { loginOptions } from '../login/login-options.js';
import { LocalInstance } from '../instances/local-instance.js';
import type { Deadline, OutsideClient, Stage } from './stage.js';

const KEY = 'credstream-demo';

/** Sets the stage inside this process: the stores share a memory instead of a Redis. */
export async function setEmbeddedStage(instanceNames: readonly string[]): Promise<Stage> {
  const memory = new CredentialMemory();
  const open = (): MemoryCredentialStore<AccessToken> =>
    new MemoryCredentialStore({ key: KEY, memory: memory });
  const openLogins = (): MemoryCredentialStore<Tokens> =>
    new MemoryCredentialStore({ ...loginOptions, key: `${KEY}:login`, memory: memory });
  const store = open();
  const logins = openLogins();
  const instances = await Promise.all(
    instanceNames.map((name) => LocalInstance.start(name, open(), openLogins())),
  );
  return {
    key: KEY,
    store,
    logins,
    outside: outsideClient(memory),
    instances,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([
        ...instances.map((instance) => instance.stop()),
        store.close(),
        logins.close(),
      ]);
    },
  };
}

function outsideClient(memory: CredentialMemory): OutsideClient {
  let deadline: Deadline | undefined;
  const endsIn = (seconds: number): number => {
    // The memory keeps its ends in whole milliseconds.
    deadline = { atMs: monotonicMs() + seconds * 1_000, uncertaintyMs: 1 };
    return seconds * 1_000;
  };
  return {
    setex: async (seconds, value) => memory.set(KEY, value, { ttlMs: endsIn(seconds) }),
    expire: async (seconds) => {
      memory.expire(KEY, endsIn(seconds));
    },
    deadline: async () => {
      if (deadline === undefined) throw new Error('nothing was given an end from outside');
      return deadline;
    },
  };
}
