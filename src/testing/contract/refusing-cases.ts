import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { bytesOf, CANARY, failure, scene, type Scene } from './stage.js';

type Wrong = readonly (readonly [option: string, options: Record<string, unknown>])[];

const WRONG_TTLS = [0, -1, 1.5, NaN, Infinity, 2 ** 53, '10', 10n, {}, null];

/** Options that a store must refuse; `key` is given where another option is at fault. */
const wrongStoreOptions: Wrong = [
  ...['', 7, null, ['k'], {}, 'k'.repeat(1025), '\ud800', 'a\nb', 'a\0b', 'credstream:x'].map(
    (key) => ['key', { key }] as const,
  ),
  ...WRONG_TTLS.map((ttlSeconds) => ['ttlSeconds', { ttlSeconds }] as const),
  ...['serialize', 'deserialize', 'expiresAt', 'onCallbackError'].flatMap((name) =>
    [1, 'x', {}, null].map((value) => [name, { [name]: value }] as const),
  ),
  ['deserialize', { serialize: () => 'x' }],
  ['serialize', { deserialize: () => 'x' }],
  ...['allowEarlyRemoval', 'abortOnSaved'].flatMap((name) =>
    [1, 'true', null].map((value) => [name, { [name]: value }] as const),
  ),
  ...['readyTimeoutMs', 'decodeTimeoutMs', 'closeTimeoutMs'].flatMap((name) =>
    [0, -1, NaN, '5', null].map((value) => [name, { [name]: value }] as const),
  ),
  ...[-1, NaN, '5', null].map((value) => ['maxStalenessMs', { maxStalenessMs: value }] as const),
  ...[0, 1.5, -1, NaN, 2 ** 30, '5'].map((value) => ['maxBytes', { maxBytes: value }] as const),
  ['ttl', { ttl: 5 }],
];

/** Options and arguments that must be refused before anything is sent. */
export const refusingCases: readonly Scene[] = [
  scene('a store refuses wrong options when it is made, by name', async (stage) => {
    for (const [option, wrong] of wrongStoreOptions) {
      const error = await failure('INVALID_OPTION', () => {
        stage.store(wrong);
        assert.fail(`${inspect(wrong)} is taken for ${option}`);
      });
      assert.equal(error.option, option);
      assert.ok(error.message.startsWith(option), error.message);
    }
  }),

  scene('calls refuse wrong options by name, and write nothing', async (stage) => {
    const store = stage.store();
    await stage.outside.set(stage.key, bytesOf('one'));
    const token = { token: CANARY };
    const calls: [option: string, call: () => Promise<unknown>][] = [
      ...WRONG_TTLS.flatMap((ttl): [string, () => Promise<unknown>][] => [
        ['ttlSeconds', () => store.save(token, { ttlSeconds: ttl as number })],
        ['ttlSeconds', () => store.update(() => token, { ttlSeconds: ttl as number })],
      ]),
      ['reason', () => store.save(token, { reason: 'x'.repeat(257) })],
      ['reason', () => store.clear({ reason: '\udfff' })],
      ['reason', () => store.clear({ reason: 5 as never })],
      ['signal', () => store.save(token, { signal: {} as never })],
      ['signal', () => store.clear({ signal: true as never })],
      ['signal', () => store.update(() => token, { signal: 'x' as never })],
      ['replicas', () => store.save(token, { replicas: 0 })],
      ['replicaTimeoutMs', () => store.save(token, { replicas: 1, replicaTimeoutMs: 60_001 })],
      ['replicaTimeoutMs', () => store.save(token, { replicaTimeoutMs: 1 })],
      ['replicas', () => store.update(() => token, { replicas: 1.5 })],
      ['reason', () => store.update(() => undefined, { reason: 'x'.repeat(257) })],
      ['ttlSeconds', () => store.update(() => undefined, { ttlSeconds: 0 })],
      ['maxAttempts', () => store.update(() => token, { maxAttempts: 0 })],
      ['maxAttempts', () => store.update(() => token, { maxAttempts: 1.5 })],
      ['fn', () => store.update(token as never)],
      ['ttl', () => store.save(token, { ttl: 5 } as never)],
      ['force', () => store.clear({ force: true } as never)],
      ['retries', () => store.update(() => token, { retries: 5 } as never)],
      ['options', () => store.save(token, 60 as never)],
      ['options', () => store.clear(null as never)],
      ['timeoutMs', () => store.ready({ timeoutMs: 0 })],
      ['timeoutMs', () => store.ready({ timeoutMs: null as never })],
      ['signal', () => store.ready({ signal: {} as never })],
      ['timeout', () => store.ready({ timeout: 5 } as never)],
    ];
    for (const [option, call] of calls) {
      const error = await failure('INVALID_OPTION', call);
      assert.equal(error.option, option);
      assert.ok(error.message.startsWith(option), error.message);
    }
    assert.deepEqual(await store.load(), { token: 'one' });
    assert.equal(await stage.outside.ttlMs(stage.key), undefined);
    assert.equal(store.status.link, 'idle');
  }),

  scene('streams and listeners refuse wrong arguments by name', async (stage) => {
    const store = stage.store();
    const calls: [option: string, call: () => unknown][] = [
      ...[-1, NaN, Infinity, 2 ** 31, '5'].map((leadMs): [string, () => unknown] => [
        'leadMs',
        () => store.expiring$(leadMs as number),
      ]),
      ['type', () => store.on('deleted' as never, (() => undefined) as never)],
      ['type', () => store.once('' as never, (() => undefined) as never)],
      ['type', () => store.off('toString' as never, (() => undefined) as never)],
      ['listener', () => store.on('saved', null as never)],
      ['listener', () => store.once('saved', {} as never)],
      ['listener', () => store.off('saved', undefined as never)],
    ];
    for (const [option, call] of calls) {
      const error = await failure('INVALID_OPTION', call);
      assert.equal(error.option, option);
    }
    assert.equal(store.status.link, 'idle');
  }),

  scene('credentials that do not become bytes are refused, and write nothing', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('one'));
    const results = [undefined, null, 5, {}, [CANARY], '\ud800', new Uint16Array(1)];
    for (const result of results) {
      const store = stage.store<string>({
        serialize: () => result as string,
        deserialize: (bytes) => bytes.toString('utf8'),
      });
      const error = await failure('ENCODE_FAILED', () => store.save(CANARY));
      assert.equal(error.reason, 'not-bytes');
    }
    const small = stage.store({ maxBytes: 20 });
    const error = await failure('ENCODE_FAILED', () => small.save({ token: CANARY }));
    assert.equal(error.reason, 'too-large');
    assert.deepEqual(await stage.store().load(), { token: 'one' });
  }),

  scene('stored bytes above maxBytes are unreadable, and stay as they are', async (stage) => {
    const { store, changes } = await stage.watch({
      maxBytes: 40,
      onCallbackError: () => undefined,
    });
    await store.save({ token: 'one' });
    await changes.expect('saved');
    await stage.outside.set(stage.key, bytesOf('x'.repeat(100)));
    const { error } = await changes.expect('unreadable');
    assert.equal(error.reason, 'too-large');
    assert.equal(await store.load(), undefined);
    assert.equal((await stage.outside.get(stage.key))?.length, bytesOf('x'.repeat(100)).length);
  }),

  scene('a call whose signal has aborted writes nothing', async (stage) => {
    const store = stage.store();
    const reason = new RangeError('stop');
    const signal = AbortSignal.abort(reason);
    const isReason = (error: unknown): boolean => error === reason;
    await stage.outside.set(stage.key, bytesOf('one'));
    await assert.rejects(store.save({ token: 'two' }, { signal }), isReason);
    await assert.rejects(store.clear({ signal }), isReason);
    await assert.rejects(
      store.update(() => ({ token: 'two' }), { signal }),
      isReason,
    );
    // Writes are sent in the order of the calls, so this one would come after them.
    await store.save({ token: 'three' }, { onlyIf: await store.read() });
    assert.deepEqual(await store.load(), { token: 'three' });
  }),
];
