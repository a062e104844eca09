import { describe, expect, it } from 'vitest';

import { both } from '../support/both.js';
import { Reauthenticator, UnavailableError } from '../../src/index.js';
import type { ClusterServer, SlotMove } from '../support/redis-cluster/index.js';
import { recordMonitor } from '../support/command-counter.js';
import { expectWithin } from '../support/machine-noise.js';
import { slowness } from '../support/slowness.js';
import { eventually } from '../support/wait.js';
import { brings, FAST, isLive, shown, useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

/** How soon a client notices that does nothing: a heartbeat, a deadline, and what comes after them. */
const BOUND_MS = FAST.heartbeatMs + FAST.replyTimeoutMs + 500;

/** Two keys of one slot, and the move of that slot to another master, not begun. */
async function twoKeys(): Promise<{
  moved: string;
  staying: string;
  from: ClusterServer;
  to: ClusterServer;
  move: SlotMove;
}> {
  const [first, second] = await world.keys();
  const moved = `{${first!.key}}:moved`;
  const staying = `{${first!.key}}:staying`;
  const [from, to] = [first!.server, second!.server];
  return { moved, staying, from, to, move: world.cluster.moveOf(slot(moved), from, to) };
}

const slot = (key: string): number => world.cluster.slotOf(key);

async function complete(move: SlotMove): Promise<void> {
  await move.moveKeys();
  await move.close();
  await world.cluster.settled();
}

/** As MIGRATE does it, which sends the time that is left: what comes late ends later. */
async function moveLate(key: string, { from, to }: SlotMove): Promise<void> {
  const bytes = await from.admin.dumpBuffer(key);
  const left = await from.admin.pttl(key);
  const asked = to.admin.call('ASKING');
  await Promise.all([asked, to.admin.call('RESTORE', key, left + 20, bytes)]);
  await from.admin.del(key);
}

const types = (watched: { changes: { values: readonly { type: string }[] } }): string[] =>
  watched.changes.values.map(({ type }) => type);

describe('a store while a slot moves', () => {
  it('emits nothing for a key that only moves, and sees its changes at the new master', async () => {
    const { moved, staying, to, move } = await twoKeys();
    const one = await world.watch(moved);
    const rest = await world.watch(staying);
    await one.store.save('one', { ttlSeconds: 1_000 });
    await rest.store.save('rest');
    await one.changes.next(brings('one'));
    await move.open();
    await moveLate(moved, move);
    // More than a heartbeat and a poll in the open slot.
    await world.reads();
    expect(one.store.current?.credentials).toBe('one');
    expect(await one.store.load()).toBe('one');
    expect(await rest.store.load()).toBe('rest');
    await complete(move);
    await eventually(() => isLive(one.store.status));
    await to.admin.set(moved, 'foreign');
    await expectWithin(BOUND_MS, () => one.changes.next(brings('foreign')));
    await to.admin.set(staying, 'foreign rest');
    await expectWithin(BOUND_MS, () => rest.changes.next(brings('foreign rest')));
    // By now it is the new master that is listened to.
    await to.admin.set(moved, 'again');
    expect(await one.changes.next(brings('again'))).toMatchObject({ origin: 'out-of-band' });
    expect(shown(one)).toEqual(['one', 'foreign', 'again']);
    expect(shown(rest)).toEqual(['rest', 'foreign rest']);
    expect(new Set(types(one))).toEqual(new Set(['saved']));
  });

  it('reads, saves and clears keys that have moved and keys that have not', async () => {
    const { moved, staying, move } = await twoKeys();
    const one = await world.watch(moved);
    const rest = await world.watch(staying);
    const other = { one: world.open(moved), rest: world.open(staying) };
    await other.one.save('0');
    await other.rest.save('0');
    await move.open();
    await move.moveKeys([moved]);
    for (const name of ['one', 'rest'] as const) {
      const watched = name === 'one' ? one : rest;
      await other[name].save('1');
      expect(await other[name].load()).toBe('1');
      await expectWithin(BOUND_MS, () => watched.changes.next(brings('1')));
      await watched.store.save('2');
      expect(watched.store.current?.credentials).toBe('2');
      expect(await other[name].clear()).toBe(true);
      await expectWithin(BOUND_MS, () => watched.changes.next(({ type }) => type === 'cleared'));
      expect(await other[name].load()).toBeUndefined();
      await other[name].save('3');
      await expectWithin(BOUND_MS, () => watched.changes.next(brings('3')));
    }
    await complete(move);
    for (const watched of [one, rest]) {
      await watched.store.save('4');
      await watched.changes.next(brings('4'));
      expect(shown(watched)).toEqual(['0', '1', '2', 'cleared', '3', '4']);
    }
  });

  it.each(['moved', 'staying'] as const)(
    'does a conditional write of a key that is %s, or reports that it can be tried again; after that it does',
    async (which) => {
      const { moved, staying, move } = await twoKeys();
      const key = which === 'moved' ? moved : staying;
      const one = await world.watch(key);
      await one.store.save('0');
      const snapshot = await one.store.read();
      await move.open();
      await move.moveKeys([moved]);
      const during = await one.store.save('1', { onlyIf: snapshot! }).then(
        () => 'done' as const,
        (error: unknown) => error,
      );
      if (during !== 'done') {
        expect(during).toBeInstanceOf(UnavailableError);
        expect(during).toMatchObject({ message: /TRYAGAIN|ASK/ });
        expect(await one.store.load()).toBe('0');
      }
      const updating = one.store.update((text) => `${text!}+`).catch((error: unknown) => error);
      await complete(move);
      const updated = await updating;
      if (updated instanceof Error) expect(updated).toBeInstanceOf(UnavailableError);
      await one.store.update((text) => `${text!}!`);
      const final = `${during === 'done' ? '1' : '0'}${updated instanceof Error ? '' : '+'}!`;
      expect(await one.store.load()).toBe(final);
      await one.changes.next(brings(final));
    },
  );

  it.each(['plain', 'conditional'] as const)(
    'ends a logout by a %s save that goes before the tombstone to the new master, once that has moved too',
    async (how) => {
      const { moved, from, to, move } = await twoKeys();
      const store = world.open(moved, { replyTimeoutMs: 20_000 });
      await store.save('old');
      await store.clear();
      const all = await from.admin.keys('credstream:cleared:*');
      const tombstone = all.find((name) => name.endsWith(moved))!;
      if (how === 'conditional') await from.admin.set(moved, 'foreign');
      const snapshot = await store.read();
      await move.open();
      await move.moveKeys([moved]);
      await store.save('new', how === 'plain' ? {} : { onlyIf: snapshot! });
      expect(await from.admin.get(tombstone)).not.toBe('ended');
      await complete(move);
      await eventually(async () => expect(await to.admin.get(tombstone)).toBe('ended'));
      expect(await store.load()).toBe('new');
    },
  );

  it('does not bounce between masters that each name the other', async () => {
    const { moved, staying, to, move } = await twoKeys();
    const store = world.open(moved);
    await store.save('x');
    await move.open();
    // As after a failover of the new owner, which its replicas do not know to be one.
    await to.admin.call('CLUSTER', 'SETSLOT', slot(moved), 'STABLE');
    const processed = async (): Promise<number> =>
      Number(/total_commands_processed:(\d+)/.exec(await to.admin.info('stats'))![1]);
    const before = await processed();
    const patient = world.open(staying, { replyTimeoutMs: 2_000 });
    await expect(patient.load()).rejects.toBeInstanceOf(UnavailableError);
    expect((await processed()) - before).toBeLessThan(100);
    expect(await store.load()).toBe('x');
    await move.abort();
    expect(await patient.load()).toBeUndefined();
  });

  it('waits with a re-authentication, and commits once', async () => {
    const { moved, move } = await twoKeys();
    let calls = 0;
    const instances = await Promise.all(
      [1, 2, 3].map(async () => {
        const watched = await world.watch(moved);
        const reauthenticator = new Reauthenticator(watched.store, {
          minIntervalMs: 200,
          leaseMs: 2_000 * slowness(),
          ...both(() => {
            calls += 1;
            return Promise.resolve(`token ${String(calls)}`);
          }),
        });
        return { ...watched, reauthenticator };
      }),
    );
    const first = await Promise.all(instances.map((one) => one.reauthenticator.snapshot()));
    expect(first.map(({ credentials }) => credentials)).toEqual(Array(3).fill('token 1'));
    await move.open();
    await move.moveKeys([moved]);
    for (const [index, one] of instances.entries()) one.reauthenticator.reject(first[index]!);
    await world.reads();
    await complete(move);
    await eventually(
      async () => {
        for (const one of instances)
          expect(await one.reauthenticator.credentials()).toBe('token 2');
      },
      { timeoutMs: 30_000 },
    );
    expect(calls).toBe(2);
    for (const one of instances) expect(shown(one)).toEqual(['token 1', 'token 2']);
  });

  it('emits in order, none twice and no last one lost, while the slot moves back and forth under a steady writer', async () => {
    const { moved, staying, from, to } = await twoKeys();
    const one = await world.watch(moved);
    const rest = await world.watch(staying);
    const writers = [moved, staying].map((key) => {
      const store = world.open(key);
      // Most of them plain, some of them conditional.
      return world.writer((text) =>
        /[49]$/.test(text) ? store.update(() => text) : store.save(text),
      );
    });
    const further = async (): Promise<void> => {
      const until = writers.map(({ written }) => written.length + 8);
      await eventually(
        () => writers.every(({ written }, index) => written.length >= until[index]!),
        { timeoutMs: 20_000 },
      );
      await world.reads();
    };
    for (const [here, there] of [
      [from, to],
      [to, from],
      [from, to],
    ] as const) {
      const move = world.cluster.moveOf(slot(moved), here, there);
      await move.open();
      await move.moveKeys([moved]);
      await further();
      await complete(move);
      await further();
    }
    for (const writer of writers) await writer.stop();
    for (const [index, watched] of [one, rest].entries()) {
      const { written, failures } = writers[index]!;
      for (const error of failures) expect(error).toBeInstanceOf(UnavailableError);
      await eventually(() => expect(watched.store.current?.credentials).toBe(written.at(-1)));
      expect(new Set(types(watched))).toEqual(new Set(['saved']));
      const numbers = shown(watched).map(Number);
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    }
  });
});

it('a write in a cluster has its announcement after its transaction, so that a moving slot is minded', async () => {
  const { moved, from } = await twoKeys();
  const store = world.open(moved);
  await store.load();
  const recording = await recordMonitor(from.process);
  expect(await store.save('x')).toEqual({ announced: true });
  expect(await store.clear()).toBe(true);
  const names = (await recording.stop()).map(({ args }) => args[0]!.toLowerCase());
  const written = names.filter((name) => /^(multi|set|del|exec|publish)$/.test(name));
  const write = (...commands: string[]): string[] => ['multi', ...commands, 'exec', 'publish'];
  expect(written).toEqual([...write('set', 'set'), ...write('set', 'del')]);
});

describe('a slot that has moved while the client was idle', () => {
  it('is followed without a notification within a heartbeat and a deadline', async () => {
    const { moved, from, to, move } = await twoKeys();
    const one = await world.watch(moved);
    await one.store.save('before');
    await from.admin.call('CONFIG', 'SET', 'notify-keyspace-events', '');
    await move.open();
    await complete(move);
    await to.admin.set(moved, 'after');
    await expectWithin(BOUND_MS, () => one.changes.next(brings('after')));
    await from.admin.call('CONFIG', 'SET', 'notify-keyspace-events', 'KEA');
    await eventually(() => one.store.status.notifications === 'keyspace');
    expect(shown(one)).toEqual(['before', 'after']);
    expect(types(one)).toEqual(['saved', 'saved']);
  });

  it('is emitted as one change when its keys are gone', async () => {
    const { moved, staying, from, to } = await twoKeys();
    const one = await world.watch(moved);
    const kept = await world.watch(staying);
    await one.store.save('lost');
    // The new owner takes it; the old one hears of it, and drops what it holds.
    await to.admin.call('CLUSTER', 'SETSLOT', slot(moved), 'IMPORTING', from.id);
    await to.admin.call('CLUSTER', 'SETSLOT', slot(moved), 'NODE', to.id);
    await world.cluster.settled();
    await to.admin.set(staying, 'there');
    await expectWithin(BOUND_MS, () => kept.changes.next(brings('there')));
    const change = await expectWithin(BOUND_MS, () =>
      one.changes.next(({ type }) => type === 'cleared'),
    );
    // The old owner's notification of the removal may arrive before the move is noticed.
    expect(['live', 'resync']).toContain(change.source);
    await one.store.save('again');
    await one.changes.next(brings('again'));
    expect(shown(one)).toEqual(['lost', 'cleared', 'again']);
  });
});
