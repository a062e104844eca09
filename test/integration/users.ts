import type { Redis } from 'ioredis';

import { uniqueKey } from '../support/redis.js';
import type { ClientOptions } from '../support/redis.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import type { World } from './world.js';

/** A Redis user of a test. */
export interface User {
  readonly name: string;
  /** A client that is this user. */
  connect(options?: ClientOptions, url?: string): Redis;
  /** Changes the rights at run time. */
  setRights(...rules: string[]): Promise<void>;
  /** What Redis has refused to this user, such as `command client|setname` or `channel credstream:0:a`. */
  refusals(): Promise<string[]>;
  /** The number of refusals of each, also of those without consequence. */
  refusalCounts(): Promise<Map<string, number>>;
}

const PASSWORD = 'secret';

/** Makes a user with these rights and no other; `rules` as in `ACL SETUSER`, in one string. */
export async function makeUser(world: World, rules: string): Promise<User> {
  const admin = world.connect();
  const name = uniqueKey('user');
  const setRights = async (...more: string[]): Promise<void> => {
    await admin.call('ACL', 'SETUSER', name, ...rulesFor(await abilitiesOf(admin), more));
  };
  await setRights('reset', 'on', `>${PASSWORD}`, ...rules.split(/\s+/));
  const refused = async (): Promise<{ readonly text: string; readonly count: number }[]> => {
    const log = (await admin.call('ACL', 'LOG', 1_000)) as unknown[][];
    const entries = log.map((entry) => {
      const field = (key: string): string => String(entry[entry.indexOf(key) + 1]);
      const text = `${field('reason')} ${field('object')}`;
      return { user: field('username'), text, count: Number(field('count')) };
    });
    return entries.filter(({ user }) => user === name);
  };
  return {
    name,
    setRights,
    connect: (options, url) =>
      world.connect({ username: name, password: PASSWORD, lazyConnect: true, ...options }, url),
    refusals: async () => {
      const own = (await refused()).map(({ text }) => text);
      // The name of a connection is for people only, and a refused PING of the heartbeat proves the link alive as an answer does.
      const harmless = /^command (client\||ping$)/;
      return [...new Set(own)].filter((text) => !harmless.test(text)).sort();
    },
    refusalCounts: async () => {
      const counts = new Map<string, number>();
      for (const { text, count } of await refused())
        counts.set(text, (counts.get(text) ?? 0) + count);
      return counts;
    },
  };
}
