import { describe, expect, it } from 'vitest';

import { Reauthenticator } from 'credstream';

import { both } from '../support/both.js';
import { countCommands } from '../support/command-counter.js';
import { uniquePrefix } from '../support/redis.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { collect } from '../support/wait.js';
import { makeUser } from './users.js';
import { type Token, useWorld } from './world.js';

const world = useWorld();

const COMMANDS = [
  ...['evalsha_ro', 'eval_ro', 'strlen', 'get', 'pexpiretime', 'time'],
  ...['multi', 'exec', 'set', 'del', 'publish', 'evalsha', 'eval'],
  ...['subscribe', 'unsubscribe'],
];

/** What the documentation prints, for keys below one prefix. */
function rulesFor(prefix: string, kinds = ['stage', 'cleared', 'attempt', 'probe']): string {
  return [
    '-@all',
    ...COMMANDS.map((name) => `+${name}`),
    `~${prefix}*`,
    ...kinds.map((kind) => `~credstream:${kind}:*`),
    'resetchannels',
    `&credstream:0:${prefix}*`,
    `&__keyspace@0__:${prefix}*`,
    '&__keyspace@0__:credstream:probe:*',
  ].join(' ');
}

describe('a process that re-authenticates', () => {
  it('needs the keys of attempts and tombstones, and no command beyond those of a watching writer', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, rulesFor(prefix));
    const store = world.store(user.connect(), { key: `${prefix}a` });
    let logins = 0;
    const auth = new Reauthenticator<Token>(store, {
      ...both(async () => ({ token: `token ${String((logins += 1))}` })),
      whenCleared: 'login',
      minIntervalMs: 10,
    });
    const redis = world.connect();
    const counted = await countCommands(redis, async () => {
      expect(await auth.credentials()).toEqual({ token: 'token 1' });
      auth.reject(await auth.snapshot());
      expect(await auth.credentials()).toEqual({ token: 'token 2' });
      await store.clear();
      expect(await auth.credentials()).toEqual({ token: 'token 3' });
      await auth.close();
    });
    const opening = ['auth', 'hello', 'quit', 'client|setname', 'client|setinfo', 'select'];
    const { givesEnds } = await abilitiesOf(redis);
    const allowed = [...COMMANDS, ...opening, ...(givesEnds ? [] : ['pttl'])];
    expect([...counted.keys()].filter((name) => !allowed.includes(name))).toEqual([]);
    expect(await user.refusals()).toEqual([]);
    // What an attempt leaves: its record, for an hour.
    const helpers = await redis.keys(`credstream:*:{${prefix}a}:*`);
    expect(helpers).toEqual([`credstream:attempt:{${prefix}a}:${prefix}a`]);
    const pttl = await redis.pttl(helpers[0]!);
    expect(pttl).toBeGreaterThan(3_590_000);
    expect(pttl).toBeLessThanOrEqual(3_600_000);
  });

  it('is refused at once with the reason where the keys of attempts are refused, and does not call the provider', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, rulesFor(prefix, ['stage', 'cleared', 'probe']));
    const store = world.store(user.connect(), { key: `${prefix}a` });
    let calls = 0;
    const auth = new Reauthenticator<Token>(store, {
      ...both(() => ({ token: String((calls += 1)) })),
    });
    const states = collect(auth.state$);
    await expect(auth.credentials()).rejects.toMatchObject({
      code: 'REFUSED',
      reply: 'NOPERM',
      id: store.id,
    });
    const refused = { type: 'backing-off', error: { reply: 'NOPERM' } };
    expect(states.values.find(({ type }) => type === 'backing-off')).toMatchObject(refused);
    // Nobody waits any longer, so nothing is needed.
    expect(auth.state).toEqual({ type: 'idle' });
    expect(calls).toBe(0);
    await auth.close();
  });
});

describe('a process that may begin an attempt but not store its result', () => {
  it('reports the reason, does not call the provider again, and stores the result as soon as it may', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, rulesFor(prefix, ['cleared', 'attempt', 'probe']));
    const store = world.store(user.connect(), { key: `${prefix}a` });
    let calls = 0;
    const auth = new Reauthenticator<Token>(store, {
      ...both(() => ({ token: `token ${String((calls += 1))}` })),
    });
    const states = collect(auth.state$);
    const asked = auth.credentials();
    const refused = await states.next((state) => 'error' in state && state.error !== undefined);
    expect(refused).toMatchObject({
      type: 'authenticating',
      attempt: 1,
      error: { reply: 'NOPERM' },
    });
    expect(JSON.stringify(refused)).not.toContain('token 1');
    await user.setRights('~credstream:stage:*');
    expect(await asked).toEqual({ token: 'token 1' });
    expect(calls).toBe(1);
    await auth.close();
  });
});

describe('a writer that may not leave tombstones', () => {
  it('clears all the same, and reports no error', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const user = await makeUser(world, rulesFor(prefix, ['stage', 'probe']));
    const store = world.store(user.connect(), { key: `${prefix}a` });
    await store.save({ token: 'a' });
    expect(await store.clear()).toBe(true);
    await store.save({ token: 'b' });
    expect(await store.clear({ onlyIf: await store.read() })).toBe(true);
    expect(await admin.exists(store.id)).toBe(0);
    expect(await admin.keys(`credstream:cleared:{${prefix}*`)).toEqual([]);
    expect(await user.refusals()).toEqual([`key credstream:cleared:{${store.id}}:${store.id}`]);
  });
});
