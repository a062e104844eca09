import { expect, it } from 'vitest';

import { hearAnnouncements, newId, onBothBackends } from './attempts-world.js';

const NEWER = /newer version of credstream .* keeps off/;

/** A record as a later release may write it: what this one knows may mean something else, or be gone. */
const records: readonly (readonly [string, object])[] = [
  [
    'of the same form, with nothing under way',
    {
      ...{ v: 2, id: 'x', instance: '01234567-89ab-4cde-8f01-23456789abcd', number: 3 },
      ...{ startedAt: 1, leaseEndsAt: 0, outcome: 'committed', failures: 0, notBefore: 0 },
    },
  ],
  ['of another form', { v: 2, lease: { by: 'an instance', until: 'later' } }],
  ['of a much later version', { v: 1_000 }],
];

onBothBackends('an attempt of a newer version', (scene) => {
  it.each(records)('with a record %s is left alone by every verb', async (_form, record) => {
    const { world, one } = scene;
    const heard = await hearAnnouncements(world);
    await heard.take();
    const text = JSON.stringify(record);
    await world.outside.set(world.recordKey, text, 600_000);
    const before = await world.outside.ttlMs(world.recordKey);

    await expect(one.start(newId())).rejects.toMatchObject({ code: 'UNAVAILABLE', message: NEWER });
    expect(await one.renew('x')).toBe('superseded');
    expect(await one.commit('x', 'new', 'old')).toBe('superseded');
    await one.end('x', 'failed');
    await one.settle('x', await world.now());

    expect(await world.outside.get(world.recordKey)).toBe(text);
    expect(await world.outside.ttlMs(world.recordKey)).toBeLessThanOrEqual(before!);
    expect(await world.outside.get(world.key)).toBe('old');
    expect(await heard.take()).toEqual([]);
  });

  it('that began after the lease of an older one had ended is not ended, renewed or written over by it', async () => {
    const { world, one } = scene;
    const start = await one.start('mine');
    expect(start.type).toBe('started');
    const text = JSON.stringify({ v: 2, id: 'theirs' });
    await world.outside.set(world.recordKey, text, 600_000);
    expect(await one.renew('mine')).toBe('superseded');
    expect(await one.commit('mine', 'new', 'old')).toBe('superseded');
    await one.end('mine', 'discarded');
    expect(await world.outside.get(world.recordKey)).toBe(text);
    expect(await world.outside.get(world.key)).toBe('old');
  });

  it('does not hide a logout', async () => {
    const { world, one } = scene;
    await world.stores[1]!.clear();
    await world.outside.set(world.recordKey, JSON.stringify({ v: 2 }), 600_000);
    expect(await one.backend.isCleared(world.key, undefined)).toBe(true);
  });

  it('is over once its record is gone', async () => {
    const { world, one } = scene;
    await world.outside.set(world.recordKey, JSON.stringify({ v: 2 }), 600_000);
    await expect(one.start('a')).rejects.toThrow(NEWER);
    await world.outside.delete(world.recordKey);
    expect(await one.start('a')).toMatchObject({ type: 'started', record: { number: 1 } });
  });
});
