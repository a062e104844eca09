import { describe, expect, it } from 'vitest';

import { countCommands } from '../support/command-counter.js';
import { uniqueKey } from '../support/redis.js';
import { makeUser } from './users.js';
import { bytesOf, useWorld } from './world.js';

const world = useWorld();

describe.each([
  ['MULTI', '+@all -multi ~* &*'],
  ['MULTI and EXEC', '+@all -multi -exec ~* &*'],
  ['transactions', '+@all -@transaction ~* &*'],
])('a user who may write, but not use %s', (_what, rules) => {
  it('learns the outcome of each write, which is sent once', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const key = uniqueKey();
    const store = world.store(user.connect(), { key });
    await store.load();

    const sent = await countCommands(admin, async () => {
      await store.save({ token: 'a' }, { onlyIf: 'absent' });
    });
    // The first one ends an earlier clear.
    expect(sent.get('set')).toBe(2);
    expect(await admin.get(key)).toBe(bytesOf('a'));
    await expect(store.save({ token: 'b' }, { onlyIf: 'absent' })).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
    });
    expect(await admin.get(key)).toBe(bytesOf('a'));

    await store.save({ token: 'c' }, { ttlSeconds: 60 });
    expect(await admin.get(key)).toBe(bytesOf('c'));
    await store.update((current) => ({ token: `${current!.token}d` }));
    expect(await admin.get(key)).toBe(bytesOf('cd'));
    expect(await store.clear()).toBe(true);
    expect(await admin.exists(key)).toBe(0);
  });
});
