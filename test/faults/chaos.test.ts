import { setTimeout as pass } from 'node:timers/promises';

import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';

import { isCredstreamError } from '../../src/index.js';
import { expectWithin } from '../support/machine-noise.js';
import { eventually } from '../support/wait.js';
import { wreak } from './support/chaos.js';
import { useFaults, type Watched } from './support/faults.js';
import { backwardsIn, type History, problemsIn } from './support/history.js';
import { watchKeys } from './support/many.js';
import { type Random, seeded } from './support/random.js';

const { connect, proxy, startNotifying, track } = useFaults();

const INSTANCES = 3;
const ROUNDS = 4;
const MOST_ROUNDS = 20;
const ROUND_MS = 1_500;
/** Written only from outside, one after the other, so that their values count up. */
const FOREIGN = Array.from({ length: 8 }, (_, index) => `foreign:${index}`);
/** Written by the stores of all instances, against each other. */
const OWN = Array.from({ length: 4 }, (_, index) => `own:${index}`);
const KEYS = [...FOREIGN, ...OWN];

it.each([1, 42, 7])(
  'every instance agrees with Redis after random faults: seed %d',
  async (seed) => {
    const rejections: unknown[] = [];
    const note = (reason: unknown): unknown => rejections.push(reason);
    process.on('unhandledRejection', note);
    track(note, () => process.off('unhandledRejection', note));
    const random = seeded(seed);
    const server = await startNotifying();
    const admin = connect(server);
    const networks = await Promise.all(Array.from({ length: INSTANCES }, () => proxy(server)));
    const instances = networks.map((network) => {
      const watched = watchKeys(connect(network, { lazyConnect: true }), KEYS);
      for (const { store } of watched) track(store, () => store.close());
      return watched;
    });
    const written = new Map(KEYS.map((key): [string, string[]] => [key, []]));
    const log: string[] = [];
    await expectAgreement(instances, admin, log);
    const seen = (): number =>
      instances.flat().reduce((sum, { changes }) => sum + changes.values.length, 0);
    const least = INSTANCES * KEYS.length * ROUNDS;
    // Fewer changes can be seen in a round while other programs use the machine.
    for (let round = 1; round <= ROUNDS || (seen() <= least && round <= MOST_ROUNDS); round += 1) {
      log.push(`round ${round}`);
      const stop = new AbortController();
      const writing = [
        // It sends each command once and in order, or it would itself be what is out of order.
        writeForeign(connect(server, ONCE), { random, written, signal: stop.signal }),
        ...instances.map((instance, index) =>
          writeOwn(instance, { random, written, signal: stop.signal, index }),
        ),
      ];
      await wreak({ server, admin, networks, random, log }, ROUND_MS);
      stop.abort();
      await Promise.all(writing);
      await expectAgreement(instances, admin, log);
    }
    const histories = instances.flatMap((instance, index) =>
      instance.map(({ store, changes }): History => ({
        instance: `instance ${index}`,
        key: store.id,
        changes: changes.values,
      })),
    );
    const counted = histories.filter(({ key }) => FOREIGN.includes(key)).flatMap(backwardsIn);
    expect([...problemsIn(histories, written), ...counted], log.join('\n')).toEqual([]);
    expect(rejections).toEqual([]);
    // It was not quiet.
    expect(seen()).toBeGreaterThan(least);
  },
  180_000,
);

const ONCE = {
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
} as const;

interface Writing {
  readonly random: Random;
  readonly written: ReadonlyMap<string, string[]>;
  readonly signal: AbortSignal;
}

async function writeForeign(client: Redis, { random, written, signal }: Writing): Promise<void> {
  const pending: Promise<unknown>[] = [];
  while (!signal.aborted) {
    const key = random.pick(FOREIGN);
    const values = written.get(key)!;
    const value = `${key}#${values.length + 1}`;
    const commands = [
      () => client.set(key, value),
      () => client.set(key, value),
      () => client.set(key, value, 'PX', 50 + random.below(800)),
      () => client.set(key, value, 'PX', 600_000),
      () => client.del(key),
      () => client.pexpire(key, 100 + random.below(500)),
      () => client.persist(key),
      () => client.getdel(key),
    ];
    values.push(value);
    pending.push(
      random
        .pick(commands)()
        .catch(() => {}),
    );
    await pass(random.below(12));
  }
  await Promise.all(pending);
}

async function writeOwn(
  instance: readonly Watched[],
  { random, written, signal, index }: Writing & { readonly index: number },
): Promise<void> {
  const own = instance.filter(({ store }) => OWN.includes(store.id));
  while (!signal.aborted) {
    const { store } = random.pick(own);
    const values = written.get(store.id)!;
    const value = `${store.id}@${index}#${values.length + 1}`;
    values.push(value);
    const { current } = store;
    const calls = [
      () => store.save(value),
      () => store.save(value, { ttlSeconds: 1 }),
      () => store.save(value, { onlyIf: current ?? 'absent' }),
      () => store.update(() => value),
      () => store.clear({ reason: 'chaos' }),
      () => store.load(),
    ];
    await random
      .pick(calls)()
      .catch((error: unknown) => {
        if (!isCredstreamError(error)) throw error;
        expect(['UNAVAILABLE', 'OUTCOME_UNKNOWN', 'CONFLICT']).toContain(error.code);
      });
    await pass(random.below(30));
  }
}

/** Writes have stopped and Redis can be reached: everybody is live soon, and then agrees within the bound that it shows. */
async function expectAgreement(
  instances: readonly (readonly Watched[])[],
  admin: Redis,
  log: readonly string[],
): Promise<void> {
  const all = instances.flat();
  await eventually(
    () => expect(all.filter(({ store }) => store.status.link !== 'live')).toEqual([]),
    {
      timeoutMs: 30_000,
    },
  );
  const maxLagMs = Math.max(...all.map(({ store }) => store.status.maxLagMs ?? 0));
  const expectSame = async (): Promise<void> => {
    const stored = await admin.mget(KEYS);
    const different = all.flatMap(({ store }) => {
      const held = store.current?.credentials ?? null;
      const found = stored[KEYS.indexOf(store.id)] ?? null;
      return held === found ? [] : [`${store.id}: ${String(held)}, Redis has ${String(found)}`];
    });
    expect(different, log.slice(-20).join('\n')).toEqual([]);
  };
  await expectWithin(maxLagMs, () => eventually(expectSame));
}
