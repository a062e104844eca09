import { strict as assert } from 'node:assert';
import {
  asFailure,
  assertAbout,
  bytesOf,
  failure,
  HOUR_MS,
  scene,
  type Scene,
  type Token,
} from './stage.js';

const byToken = { expiresAt: ({ expiresAt }: Token) => expiresAt };

/** Ends of credentials: their instants and their changes. */
export const expiryCases: readonly Scene[] = [
  scene('the end of the TTL is emitted as expired, not before it', async (stage) => {
    const { store, changes } = await stage.watch();
    await stage.outside.set(stage.key, bytesOf('one'), 300);
    const saved = await changes.expect('saved');
    await stage.reach(saved.expiresAt ?? 0);
    const expired = await changes.expect('expired');
    assert.equal(expired.previous, saved.snapshot);
    assert.equal(expired.expiresAt, saved.expiresAt);
    assert.ok(expired.at >= (saved.expiresAt ?? Infinity), 'emitted before the end');
    assert.equal(expired.origin, 'unknown');
    assert.equal(expired.source, 'live');
    assert.equal(store.current, undefined);
    const { state } = store;
    assert.ok(state.type === 'expired');
    assert.equal(state.previous, saved.snapshot);
  }),

  scene('a credential is never in memory past its end', async (stage) => {
    const { store, changes } = await stage.watch();
    await stage.outside.set(stage.key, bytesOf('one'), 300);
    const { expiresAt = 0 } = await changes.expect('saved');
    for (;;) {
      // Read first, because the end may pass between the two readings.
      const now = await stage.now();
      const held = store.current;
      if (now >= expiresAt) {
        assert.equal(held, undefined);
        break;
      }
      await stage.advance(20);
    }
    await stage.reach(expiresAt);
    await changes.expect('expired');
  }),

  scene('the logical end is emitted while the bytes stay', async (stage) => {
    const { store, changes } = await stage.watch(byToken);
    const expiresAt = Math.floor(await stage.now()) + 300;
    await store.save({ token: 'one', expiresAt }, { ttlSeconds: 3600 });
    const saved = await changes.expect('saved');
    assert.equal(saved.expiresAt, expiresAt);
    await stage.reach(expiresAt);
    const expired = await changes.expect('expired');
    assert.equal(expired.expiresAt, expiresAt);
    assert.equal(expired.previous, saved.snapshot);
    assert.equal(store.current, undefined);
    assert.deepEqual(await store.load(), { token: 'one', expiresAt });
    assertAbout(await stage.outside.ttlMs(stage.key), HOUR_MS);
  }),

  scene('bytes that vanish by TTL after the logical end are no change', async (stage) => {
    const { store, changes } = await stage.watch(byToken);
    const expiresAt = Math.floor(await stage.now()) + 1_000;
    const bytes = JSON.stringify({ token: 'one', expiresAt } satisfies Token);
    await stage.outside.set(stage.key, bytes, 1_300);
    // Not from the end on: the write may have come late.
    const goneAt = Math.ceil(await stage.now()) + 1_300;
    await changes.expect('saved');
    await stage.reach(expiresAt);
    await changes.expect('expired');
    await stage.reach(goneAt + 100);
    assert.equal(await stage.outside.get(stage.key), undefined);
    await store.save({ token: 'two' });
    const saved = await changes.expect('saved');
    assert.deepEqual(saved.previous?.credentials, { token: 'one', expiresAt });
  }),

  scene('a removal after the logical end is emitted', async (stage) => {
    const { store, changes } = await stage.watch(byToken);
    const expiresAt = Math.floor(await stage.now()) + 200;
    await store.save({ token: 'one', expiresAt });
    await stage.reach(expiresAt);
    await changes.take(({ type }) => type === 'expired');
    await store.clear();
    const cleared = await changes.expect('cleared');
    assert.deepEqual(cleared.previous?.credentials, { token: 'one', expiresAt });
  }),

  scene('credentials first seen past their end are expired, and no change', async (stage) => {
    const expiresAt = Math.floor(await stage.now()) - HOUR_MS;
    await stage.store(byToken).save({ token: 'old', expiresAt });
    const { store, changes } = await stage.watch(byToken);
    assert.equal(store.state.type, 'expired');
    assert.equal(store.current, undefined);
    assert.deepEqual(stage.record(store.credentials$).values, [undefined]);
    await store.save({ token: 'new' });
    await changes.expect('saved');
  }),

  scene('credentials written past their end over valid ones expire those', async (stage) => {
    const { store, changes } = await stage.watch(byToken);
    await store.save({ token: 'one' });
    const saved = await changes.expect('saved');
    await store.save({ token: 'old', expiresAt: Math.floor(await stage.now()) - HOUR_MS });
    const expired = await changes.expect('expired');
    assert.equal(expired.previous, saved.snapshot);
    assert.equal(store.current, undefined);
    await store.save({ token: 'two' });
    await changes.expect('saved');
  }),

  scene('an end that moves in time does not expire at the old instant', async (stage) => {
    const { store, changes } = await stage.watch();
    await stage.outside.set(stage.key, bytesOf('one'), 400);
    const { expiresAt = 0 } = await changes.expect('saved');
    await stage.outside.expire(stage.key, HOUR_MS);
    await changes.expect('renewed');
    await stage.reach(expiresAt + 1);
    assert.deepEqual(store.current?.credentials, { token: 'one' });
    await store.save({ token: 'two' });
    await changes.expect('saved');
  }),

  scene('credentials$ emits undefined after an expiry', async (stage) => {
    const { store, changes } = await stage.watch();
    const emitted = stage.record(store.credentials$);
    await stage.outside.set(stage.key, bytesOf('one'), 200);
    const { expiresAt = 0 } = await changes.expect('saved');
    await stage.reach(expiresAt);
    await changes.expect('expired');
    assert.deepEqual(emitted.values, [undefined, { token: 'one' }, undefined]);
  }),

  scene('an end that looks like seconds is refused, and unreadable', async (stage) => {
    const { store, changes } = await stage.watch(byToken);
    const seconds = Math.floor((await stage.now()) / 1000) + 3600;
    const refused = await failure('ENCODE_FAILED', () =>
      store.save({ token: 'one', expiresAt: seconds }),
    );
    assert.equal(refused.reason, 'expires-at');
    assert.equal(await stage.outside.get(stage.key), undefined);
    await stage.outside.set(stage.key, JSON.stringify({ token: 'one', expiresAt: seconds }));
    const { error } = await changes.expect('unreadable');
    assert.equal(asFailure('UNREADABLE', error).reason, 'expires-at');
  }),

  scene('expiring$ emits each credential once, leadMs before its end', async (stage) => {
    const { store, changes } = await stage.watch();
    const expiring = stage.record(store.expiring$(400));
    await stage.outside.set(stage.key, bytesOf('one'), 600);
    const saved = await changes.expect('saved');
    assert.deepEqual(expiring.values, []);
    const { expiresAt = 0 } = saved;
    await stage.reach(expiresAt - 400);
    assert.equal(await expiring.take(), saved.snapshot);
    assert.ok((await stage.now()) >= expiresAt - 400, 'too early');
    await stage.reach(expiresAt);
    await changes.expect('expired');
    assert.equal(expiring.values.length, 1);
  }),

  scene('expiring$ emits at once when less than leadMs is left', async (stage) => {
    const { store, changes } = await stage.watch();
    await stage.outside.set(stage.key, bytesOf('one'), HOUR_MS);
    const { snapshot } = await changes.expect('saved');
    const expiring = stage.record(store.expiring$(2 * HOUR_MS));
    await stage.advance(5);
    assert.equal(await expiring.take(), snapshot);
  }),

  scene('expiring$ emits again only after the end moved later', async (stage) => {
    const { store, changes } = await stage.watch();
    const expiring = stage.record(store.expiring$(2 * HOUR_MS));
    await stage.outside.set(stage.key, bytesOf('one'), HOUR_MS);
    await changes.expect('saved');
    await stage.advance(5);
    await expiring.take();
    await stage.outside.expire(stage.key, HOUR_MS / 2);
    await changes.expect('renewed');
    await stage.outside.expire(stage.key, 1.5 * HOUR_MS);
    const later = await changes.expect('renewed');
    await stage.advance(5);
    assert.equal(await expiring.take(), later.snapshot);
    assert.equal(expiring.values.length, 2);
  }),

  scene('expiring$ does not emit credentials that have expired or have no end', async (stage) => {
    const expiresAt = Math.floor(await stage.now()) - HOUR_MS;
    await stage.store(byToken).save({ token: 'old', expiresAt });
    const { store, changes } = await stage.watch(byToken);
    const expiring = stage.record(store.expiring$(HOUR_MS));
    await store.save({ token: 'endless' });
    await changes.expect('saved');
    await stage.outside.set(stage.key, bytesOf('one'), HOUR_MS / 2);
    await changes.expect('saved');
    await stage.advance(5);
    assert.deepEqual((await expiring.take()).credentials, { token: 'one' });
    assert.equal(expiring.values.length, 1);
  }),
];
