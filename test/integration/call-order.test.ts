import { describe, expect, it } from 'vitest';

import { ConflictError } from 'credstream';

import { countCommands } from '../support/command-counter.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { makeUser } from './users.js';
import { bytesOf, useWorld } from './world.js';

const world = useWorld();

describe('with a user who may write but not read', () => {
  const rules = '+@all %W~* &*';

  it('a clear that was called after a save removes the saved bytes', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect());
    // In the second round the store knows the key already.
    for (const token of ['a', 'b']) {
      const [receipt, removed] = await Promise.all([store.save({ token }), store.clear()]);
      expect(receipt).toEqual({ announced: true });
      expect(removed).toBe(true);
      expect(await admin.exists(store.id)).toBe(0);
    }
    // SET had to be sent a second time, without GET, unless a right to write is one to read.
    const { splitsKeyRights } = await abilitiesOf(admin);
    expect(await user.refusals()).toEqual(
      splitsKeyRights ? expect.arrayContaining([`key ${store.id}`]) : [],
    );
  });

  it('the save that was called last stays', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect());
    const tokens = ['a', 'b', 'c', 'd'];
    await Promise.all(tokens.map((token) => store.save({ token })));
    expect(await admin.get(store.id)).toBe(bytesOf('d'));
  });
});

describe('at a server without the scripts', () => {
  it('a save with onlyIf absent follows the conditional clear that was called before it', async () => {
    const admin = world.connect();
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    await admin.script('FLUSH');
    const sent = await countCommands(admin, async () => {
      const cleared = store.clear({ onlyIf: seen });
      const saved = store.save({ token: 'b' }, { onlyIf: 'absent' });
      expect(await cleared).toBe(true);
      expect(await saved).toEqual({ announced: true });
    });
    expect(sent.get('eval')).toBe(1);
    expect(await admin.get(store.id)).toBe(bytesOf('b'));
  });

  it('a clear follows the conditional save that was called before it', async () => {
    const admin = world.connect();
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    await admin.script('FLUSH');
    const sent = await countCommands(admin, async () => {
      const saved = store.save({ token: 'b' }, { onlyIf: seen });
      const cleared = store.clear();
      expect(await saved).toEqual({ announced: true });
      expect(await cleared).toBe(true);
    });
    // The clear reads first, by a script too.
    const { readTextCommand } = await abilitiesOf(admin);
    expect(sent.get('eval')).toBe(readTextCommand === 'eval' ? 2 : 1);
    expect(await admin.exists(store.id)).toBe(0);
  });
});

describe('with a user who may not announce', () => {
  // Found out by the first write of a connection, which is executed only when it is sent again.
  const rules = '+@all ~* resetchannels &__keyspace@0__:*';

  it('a clear that was called after a save removes the saved bytes', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect());
    await store.load();
    const [receipt, removed] = await Promise.all([store.save({ token: 'a' }), store.clear()]);
    expect(receipt).toEqual({ announced: false });
    expect(removed).toBe(true);
    expect(await admin.exists(store.id)).toBe(0);
    expect(await user.refusals()).toContain(`channel credstream:0:${store.id}`);
  });

  it('the save that was called last stays', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect());
    await store.load();
    const receipts = await Promise.all([store.save({ token: 'a' }), store.save({ token: 'b' })]);
    expect(receipts).toEqual([{ announced: false }, { announced: false }]);
    expect(await admin.get(store.id)).toBe(bytesOf('b'));
    expect(await user.refusals()).toContain(`channel credstream:0:${store.id}`);
  });

  it('a conditional write finds the bytes of the save before it', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect());
    await admin.set(store.id, bytesOf('old'));
    const seen = await store.read();
    const saved = store.save({ token: 'a' });
    // A script needs no second try, and would come first if it did not wait.
    const cleared = store.clear({ onlyIf: seen });
    await expect(cleared).rejects.toBeInstanceOf(ConflictError);
    expect(await saved).toEqual({ announced: false });
    expect(await admin.get(store.id)).toBe(bytesOf('a'));
  });

  it('a save that was called after a clear stays', async () => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect());
    await admin.set(store.id, bytesOf('a'));
    await store.load();
    const [removed] = await Promise.all([store.clear(), store.save({ token: 'b' })]);
    expect(removed).toBe(true);
    expect(await admin.get(store.id)).toBe(bytesOf('b'));
  });
});
