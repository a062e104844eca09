import { CredentialMemory, MemoryCredentialStore } from 'credstream';

import type { Tokens } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
import { monotonicMs } from '../monotonic-clock.js';
import { loginOptions } from '../login/login-options.js';
import { LocalNode } from '../nodes/local-node.js';
import type { Deadline, OutsideClient, Stage } from './stage.js';

const KEY = 'credstream-demo';

/** Sets the stage inside this process: the stores share a memory instead of a Redis. */
export async function setEmbeddedStage(nodeNames: readonly string[]): Promise<Stage> {
  const memory = new CredentialMemory();
  const open = (): MemoryCredentialStore<AccessToken> =>
    new MemoryCredentialStore({ key: KEY, memory: memory });
  const openLogins = (): MemoryCredentialStore<Tokens> =>
    new MemoryCredentialStore({ ...loginOptions, key: `${KEY}:login`, memory: memory });
  const store = open();
  const logins = openLogins();
  const nodes = await Promise.all(
    nodeNames.map((name) => LocalNode.start(name, open(), openLogins())),
  );
  return {
    key: KEY,
    store,
    logins,
    outside: outsideClient(memory),
    nodes,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...nodes.map((node) => node.stop()), store.close(), logins.close()]);
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
