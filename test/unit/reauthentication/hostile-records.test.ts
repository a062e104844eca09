import { afterEach, expect, it } from 'vitest';

import { both } from '../../support/both.js';
import { World } from './world.js';

const HALF_AN_HOUR = 1_800_000;
const FOREIGN = 'Your account is locked: pay at evil.example';

const good = {
  id: 'x',
  instance: '01234567-89ab-4cde-8f01-23456789abcd',
  number: 1,
  startedAt: 1,
  leaseEndsAt: 0,
  outcome: 'running',
  failures: 0,
  notBefore: 0,
};

let world: World;
afterEach(() => world.close());

it.each<[string, object]>([
  ['an OAuth code that has no string', { outcome: 'fatal', oauthError: { toString: 1 } }],
  ['an OAuth code that nobody knows', { outcome: 'fatal', oauthError: FOREIGN }],
  ['an instance that is a text', { leaseEndsAt: 9e15, instance: FOREIGN }],
  ['a lease that is no number', { leaseEndsAt: FOREIGN }],
  ['a lease without end', { leaseEndsAt: Number.MAX_SAFE_INTEGER }],
  ['a pause without end', { outcome: 'failed', notBefore: Number.MAX_SAFE_INTEGER }],
  ['as many failures as a number can say', { outcome: 'failed', failures: 1e9 }],
  ['as many attempts as a number can say', { outcome: 'failed', number: 1e9 }],
  ['more attempts than a record can say', { outcome: 'failed', number: 1e300 }],
])(
  'a record with %s shows no foreign text and delays by half an hour at most',
  async (_, record) => {
    world = new World();
    await world.put('old');
    const instance = await world.instance(both(() => ({ token: 'new' })));
    world.memory.set('credstream:attempt:k', JSON.stringify({ ...good, ...record }));
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.advance(HALF_AN_HOUR + 10_000);
    expect(world.stored).toBe('new');
    expect(JSON.stringify(instance.states)).not.toContain('evil');
  },
);
