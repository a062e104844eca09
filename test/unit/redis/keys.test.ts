import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { HelperNames } from '../../../src/redis/commands/helper-names.js';
import { keyspaceChannel, slotOf, slotTag } from '../../../src/redis/keys.js';

const names = new HelperNames('app-1', 'node');

describe('the slot of a key', () => {
  it.each([
    // CRC-16/XMODEM of the check string of all CRC catalogs.
    ['123456789', 0x31c3 % 16_384],
    // From a Redis Cluster: CLUSTER KEYSLOT.
    ['foo', 12_182],
    ['bar', 5_061],
    ['hello', 866],
    ['', 0],
    ['user:1000', 1_649],
    ['{user1000}.following', 3_443],
    ['{user1000}.followers', 3_443],
    ['foo{}{bar}', 8_363],
    ['foo{{bar}}zap', 4_015],
    ['foo{bar}{zap}', 5_061],
  ])('of %j is %d', (key, slot) => {
    expect(slotOf(key)).toBe(slot);
  });

  it.each([
    ['foo{bar}zap', 'bar'],
    ['foo{{bar}}zap', '{bar'],
    ['foo{bar}{zap}', 'bar'],
    ['a}b{c}', 'c'],
  ])('of %j is that of its hash tag %j', (key, tag) => {
    expect(slotOf(key)).toBe(slotOf(tag));
  });

  it('counts bytes, not characters', () => {
    expect(slotOf('é')).not.toBe(slotOf('\u0065\u0301'));
    expect(slotOf('\u{1f511}')).toBeGreaterThanOrEqual(0);
  });
});

describe('a helper key', () => {
  it.each([
    'plain',
    't:{42}:x',
    'a}b',
    'foo{}bar',
    '{}',
    '{',
    '}',
    '}{',
    'a{b',
    '{a}',
    'x{{a}}',
    '{{}}',
    'a}b{c}',
    '}}{{x}}',
    'ключ:{\u{1f511}}',
    'é}',
  ])('shares the slot of %j', (key) => {
    expect(slotOf(names.stage(key))).toBe(slotOf(key));
  });

  it('shares the slot of any key, whatever its braces', () => {
    const character = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('{', '}') },
      { weight: 2, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
    );
    const key = fc.array(character, { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(key, (one) => {
        expect(slotOf(names.stage(one))).toBe(slotOf(one));
      }),
      { numRuns: 300 },
    );
  });

  it('differs for every namespace, kind and key, and where a key has several of a kind, at every call', () => {
    const all = [names, new HelperNames('app-2', 'node')].flatMap((one) =>
      ['a', 'b', '{a}b'].flatMap((key) => [
        ...[one.stage(key), one.stage(key), one.marker(key), one.marker(key)],
        ...[one.attempt(key), one.cleared(key)],
      ]),
    );
    expect(new Set(all).size).toBe(36);
  });

  it('is under the namespace, with the tag of the key, the key, or a number in braces', () => {
    expect(names.attempt('plain')).toBe('app-1:attempt:{plain}:plain');
    expect(names.cleared('t:{42}:x')).toBe('app-1:cleared:{42}:t:{42}:x');
    expect(names.stage('plain')).toMatch(/^app-1:stage:\{plain\}:plain:node:\d+$/);
    expect(names.marker('plain')).toMatch(/^app-1:wait:\{plain\}:plain:node:\d+$/);
    expect(slotTag('a}b')).toMatch(/^\d+$/);
    expect(slotTag('foo{}bar')).toMatch(/^\d+$/);
  });
});

it('the keys of no credential are under the namespace, on any server of a cluster', () => {
  expect(names.own('epoch')).toBe('app-1:epoch');
  expect(names.own('epoch', '7')).toBe('app-1:epoch:{7}');
  expect(names.own('probe')).toBe('app-1:probe:node');
  expect(names.own('probe', '7')).toBe('app-1:probe:{7}:node');
});

describe('channels', () => {
  it('belong to one database and one key', () => {
    expect(keyspaceChannel(7, 'a:b')).toBe('__keyspace@7__:a:b');
    expect(names.announcements(7, 'a:b')).toBe('app-1:7:a:b');
  });
});

it('a key with a stray brace has a tag in its slot, whatever the slot', () => {
  const slots = new Set<number>();
  const misrouted: string[] = [];
  for (let n = 0; slots.size < 16_384; n += 1) {
    const key = `a}${String(n)}`;
    slots.add(slotOf(key));
    if (slotOf(slotTag(key)) !== slotOf(key)) misrouted.push(key);
  }
  expect(misrouted).toEqual([]);
});

it('the tag of a key with a stray brace costs a few hashes and no search', () => {
  const cpuMs = (): number => {
    const before = process.cpuUsage();
    for (let n = 0; n < 2_000; n += 1) slotTag(`ann}${String(n)}`);
    return process.cpuUsage(before).user / 1_000;
  };
  cpuMs();
  // A search tries 16,000 numbers on average, a few milliseconds for each key.
  expect(cpuMs()).toBeLessThan(200);
});
