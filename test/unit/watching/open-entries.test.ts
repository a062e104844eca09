import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import { createFeedCondition, type FeedCondition } from '../../../src/backend/backend.js';
import { Encoding } from '../../../src/credential/encoding.js';
import { unknown } from '../../../src/credential/state.js';
import { resolveStoreOptions } from '../../../src/stores/options.js';
import { Entry } from '../../../src/watching/entry/entry.js';
import { OpenEntries } from '../../../src/watching/open-entries.js';

function condition(link: FeedCondition['link']): FeedCondition {
  return createFeedCondition({
    link,
    generation: 1,
    gap: 'link',
    notifications: 'keyspace',
    announcing: true,
    maxLagMs: 0,
    proof: { confirmedAt: Infinity },
    provenWithinMs: 0,
    error: undefined,
  });
}

const live = condition('live');
const lost = condition('reconnecting');

/** Open entries whose readings have no room, with a handle on each that records the links reported to it. */
async function crowded(linkOf: (nth: number) => FeedCondition) {
  const clock = new VirtualClock();
  const { shared: options } = resolveStoreOptions<string>({
    key: 'key',
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
  });
  const scope = {
    clock,
    options,
    encoding: new Encoding<string>(options, undefined, clock),
    backend: { endClear: () => Promise.resolve() },
  };
  let isFull = false;
  const open = new OpenEntries<string>(clock, {
    capacity: () => (isFull ? new Promise<void>(() => undefined) : undefined),
  });
  const reported: string[] = [];
  const conditions = new Map<string, FeedCondition>();
  for (let nth = 0; nth < 40; nth += 1) {
    const key = `key-${String(nth)}`;
    const entry = new Entry<string>(
      key,
      {
        scope,
        follower: undefined,
        idOf: () => key,
        conditionAt: () => conditions.get(key),
        read: () => Promise.reject(new Error('not part of the test')),
        subscription: undefined,
      },
      unknown,
      0,
    );
    entry.open({
      ownWrites: 0,
      isFilled: false,
      conditionChanged: ({ link }) => reported.push(`${key} ${link}`),
      attempted: () => undefined,
      observing: () => undefined,
      observed: () => undefined,
      refused: () => undefined,
      stalenessChanged: () => undefined,
    });
    open.add(entry);
  }
  await clock.settle();
  for (let nth = 0; nth < 40; nth += 1) conditions.set(`key-${String(nth)}`, linkOf(nth));
  isFull = true;
  return { clock, open, reported };
}

it('a lost link is reported to all entries while readings have no room', async () => {
  const { clock, open, reported } = await crowded(() => lost);
  open.conditionChanged(false);
  await clock.settle();
  expect(reported).toHaveLength(40);
});

it('a link that is lost for some keys is reported to all of them before the others', async () => {
  const { clock, open, reported } = await crowded((nth) => (nth % 2 === 0 ? live : lost));
  open.conditionChanged(undefined);
  await clock.settle();
  expect(reported.slice(0, 20).every((one) => one.endsWith('reconnecting'))).toBe(true);
  expect(reported.slice(20)).toEqual(['key-0 live']);
});

it('a live link is reported as far as readings have room', async () => {
  const { clock, open, reported } = await crowded(() => live);
  open.conditionChanged(true);
  await clock.settle();
  expect(reported).toEqual(['key-0 live']);
});
