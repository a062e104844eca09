import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import {
  createFeedCondition,
  type Backend,
  type Subscription,
  type FeedCondition,
  type Hint,
  type Observation,
} from '../../../src/backend/backend.js';
import type { CredentialChange } from '../../../src/credential/change.js';
import { Encoding } from '../../../src/credential/encoding.js';
import { resolveStoreOptions } from '../../../src/stores/options.js';
import { ServerTime } from '../../../src/time/server-time.js';
import type { Entry } from '../../../src/watching/entry/entry.js';
import { PrefixWatch, type PrefixFollower } from '../../../src/watching/prefix-watch.js';
import { ReadBatcher } from '../../../src/watching/read-batcher.js';

const written: Hint = { type: 'written', origin: 'out-of-band', reason: undefined };

function condition(generation: number): FeedCondition {
  return createFeedCondition({
    link: 'live',
    generation,
    gap: 'link',
    notifications: 'keyspace',
    announcing: true,
    maxLagMs: 0,
    proof: { confirmedAt: Infinity },
    provenWithinMs: 0,
    error: undefined,
  });
}

function world() {
  const clock = new VirtualClock();
  const time = new ServerTime(clock);
  const stored = new Map<string, { text: string; expiresAt: number }>();
  const reads: string[] = [];
  const { shared: options } = resolveStoreOptions<string>({
    key: 'key',
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
  });
  const read = (key: string): Promise<Observation> => {
    reads.push(key);
    const serverNow = clock.now();
    time.sample(serverNow, clock.monotonic(), clock.monotonic());
    const found = stored.get(key);
    return Promise.resolve({
      content:
        found === undefined
          ? ({ type: 'absent' } as const)
          : ({ type: 'bytes', bytes: Buffer.from(found.text) } as const),
      expiresAt: found?.expiresAt,
      toleranceMs: 0,
      serverNow,
      time,
    });
  };
  const subscription: Subscription = {
    read,
    confirmedAt: () => 0,
    reportClockStep: () => undefined,
    close: () => undefined,
  };
  const endClear = (): Promise<void> => Promise.resolve();
  const backend = { clock, subscribe: () => subscription, endClear } as unknown as Backend;
  const scope = {
    clock,
    options,
    encoding: new Encoding<string>(options, undefined, clock),
    backend,
  };
  const watch = new PrefixWatch<string>(
    'p:',
    scope,
    clock,
    new ReadBatcher(() => subscription, clock, options.maxBytes),
  );
  /** Opens a key; `conditionChanged` is called whenever the handles learn the condition. */
  const open = (key: string, conditionChanged: (entry: Entry<string>) => void): Entry<string> => {
    const entry = watch.open(key, {
      ownWrites: 0,
      isFilled: false,
      conditionChanged: () => {
        conditionChanged(entry);
      },
      attempted: () => undefined,
      observing: () => undefined,
      observed: () => undefined,
      refused: () => undefined,
      stalenessChanged: () => undefined,
    });
    return entry;
  };
  return { clock, watch, stored, reads, open };
}

/** Follows all keys of a watch that are known to be absent. */
function follow(watch: PrefixWatch<string>): CredentialChange<string>[] {
  const changes: CredentialChange<string>[] = [];
  const follower: PrefixFollower<string> = {
    isComplete: true,
    isCaughtUp: true,
    conditionChanged: () => undefined,
    enter: (key) => watch.add(key),
    added: () => undefined,
    removed: () => undefined,
    observed: () => undefined,
    refused: () => undefined,
    changed: (change) => changes.push(change),
    idle: (entry) => {
      if (!entry.isStored && !entry.isOpen) watch.remove(entry);
    },
    pollAll: () => undefined,
  };
  watch.follow(follower);
  return changes;
}

it('a hint leads to one change when the handle of its key closes on the new condition', async () => {
  const { clock, watch, stored, open } = world();
  const changes = follow(watch);
  watch.conditionChanged(condition(1));
  // The report of a condition takes a turn after so many entries, and the hint comes before the turn of the last one.
  for (let nth = 0; nth < 20; nth += 1) open(`p:${String(nth)}`, () => undefined);
  let closesNow = false;
  open('p:last', (entry) => {
    if (closesNow) watch.leave(entry);
  });
  // The time slice of the first report is over.
  await clock.advance(10);
  closesNow = true;
  watch.conditionChanged(condition(1));
  expect(watch.get('p:last')?.isOpen).toBe(true);
  stored.set('p:last', { text: 'one', expiresAt: clock.now() + 60_000 });
  watch.hint('p:last', written);
  expect(watch.get('p:last')?.isOpen).toBe(false);
  await clock.settle();
  watch.hint('p:last', written);
  await clock.settle();
  expect(changes.map(({ id, type }) => `${id} ${type}`)).toEqual(['last saved']);
  expect(watch.get('p:last')?.isStored).toBe(true);
  watch.follow(undefined);
});

it('a reading sets no alarm for an entry that its handle closes on the new condition', async () => {
  const { clock, watch, stored, reads, open } = world();
  open('p:other', () => undefined);
  let closesNow = false;
  open('p:one', (entry) => {
    if (closesNow) watch.leave(entry);
  });
  watch.conditionChanged(condition(1));
  await clock.settle();
  stored.set('p:one', { text: 'one', expiresAt: clock.now() + 1_000 });
  watch.hint('p:one', written);
  closesNow = true;
  await clock.settle();
  expect(watch.get('p:one')).toBe(undefined);
  await clock.advance(5_000);
  expect(reads).toEqual(['p:one']);
});
