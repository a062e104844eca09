import { describe, expect, it } from 'vitest';

import { recordMonitor } from '../support/command-counter.js';
import { deferred } from '../support/wait.js';
import { bytesOf, ofType, type Token, useWorld } from './world.js';

const world = useWorld();

const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value);

const raw = {
  serialize: (bytes: Uint8Array) => bytes,
  deserialize: (bytes: Buffer): Uint8Array => bytes,
};

describe('the bytes at the key', () => {
  it.each<[string, Uint8Array]>([
    ['every value of a byte', everyByte],
    ['nothing', new Uint8Array()],
    ['line ends, as the protocol has them', Buffer.from('\r\n$5\r\nhello\r\n*1\r\n')],
    ['zeros', Buffer.alloc(1_000)],
    ['what looks like the digest of a staged copy', Buffer.from('0'.repeat(40) + 'more')],
    ['a part of a larger buffer', Buffer.from('before|inside|after').subarray(7, 13)],
    ['a MiB, the most that is allowed', Buffer.alloc(2 ** 20, everyByte)],
  ])('are exactly the result of serialize: %s', async (_name, bytes) => {
    const redis = world.connect();
    const expected = Buffer.from(bytes);
    const { store, key, changes } = await world.watch(world.connect(), raw);

    await store.save(bytes);
    expect((await redis.getBuffer(key))?.equals(expected)).toBe(true);
    expect(Buffer.from(store.current!.credentials).equals(expected)).toBe(true);
    expect(Buffer.from((await store.load())!).equals(expected)).toBe(true);

    await store.save(Buffer.from('other'));
    await store.save(bytes, { onlyIf: await store.read(), ttlSeconds: 60 });
    expect((await redis.getBuffer(key))?.equals(expected)).toBe(true);
    await store.save(Buffer.from('another'), { ttlSeconds: 'keep' });
    await store.save(bytes, { onlyIf: await store.read(), ttlSeconds: 'keep' });
    expect((await redis.getBuffer(key))?.equals(expected)).toBe(true);
    expect(await redis.pttl(key)).toBeGreaterThan(50_000);
    await store.clear();
    await store.save(bytes, { onlyIf: 'absent' });
    expect((await redis.getBuffer(key))?.equals(expected)).toBe(true);
    expect(changes.values.every(({ type }) => type !== 'unreadable')).toBe(true);
  });

  it('are the bytes that another client wrote', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(world.connect(), raw);
    await redis.set(key, Buffer.from(everyByte));
    const { credentials } = await changes.next(ofType('saved'));
    expect(Buffer.from(credentials)).toEqual(Buffer.from(everyByte));
    expect(Buffer.from((await store.load())!)).toEqual(Buffer.from(everyByte));
  });

  it.each(['𝒦𝓮𝔂 🔑', 'naïve', 'nai\u0308ve', '\u0000\u0001', '\ufeffBOM', 'line\u2028separator'])(
    'are UTF-8 when serialize returns a string: %j',
    async (text) => {
      const redis = world.connect();
      const store = world.store<string>(world.connect(), {
        serialize: (one) => one,
        deserialize: (bytes) => bytes.toString('utf8'),
      });
      await store.save(text);
      expect(await redis.getBuffer(store.id)).toEqual(Buffer.from(text, 'utf8'));
      expect(await store.load()).toBe(text);
      await store.save(text, { onlyIf: await store.read() });
      expect(await redis.getBuffer(store.id)).toEqual(Buffer.from(text, 'utf8'));
    },
  );

  it('are JSON without anything around it by default', async () => {
    const redis = world.connect();
    const store = world.store(world.connect());
    await store.save({ token: 'a "quoted" 🔑' });
    expect(await redis.get(store.id)).toBe('{"token":"a \\"quoted\\" 🔑"}');
  });

  it('are the bytes at the moment when serialize returned them', async () => {
    const redis = world.connect();
    const store = world.store<Uint8Array>(world.connect(), raw);
    await store.load();
    const bytes = Buffer.from('first');
    const saved = store.save(bytes);
    await Promise.resolve();
    bytes.fill('x');
    await saved;
    expect(await redis.get(store.id)).toBe('first');
  });
});

describe('saves of one store', () => {
  it('reach Redis in call order, however long each takes to serialize', async () => {
    const redis = world.connect();
    const gates = Array.from({ length: 20 }, () => deferred());
    const store = world.store<number>(world.connect(), {
      serialize: async (number) => {
        await gates[number]?.promise;
        return String(number);
      },
      deserialize: Number,
    });
    await store.load();
    const recording = await recordMonitor(world.server);
    const saves = gates.map((_gate, number) => store.save(number));
    // The last is ready first.
    for (const gate of [...gates].reverse()) {
      gate.resolve();
      await redis.ping();
    }
    await Promise.all(saves);
    const lines = await recording.stop();
    const written = lines.filter(({ args }) => args[0] === 'SET').map(({ args }) => args[2]);
    expect(written).toEqual(gates.map((_gate, number) => String(number)));
    expect(await redis.get(store.id)).toBe('19');
  });

  it('keep their place among clears, conditional saves and failures', async () => {
    const redis = world.connect();
    const store = world.store<Token>(world.connect(), {
      serialize: async ({ token }) => {
        if (token === 'fails') throw new Error('not this one');
        return bytesOf(token);
      },
      deserialize: (bytes) => JSON.parse(bytes.toString()) as Token,
      onCallbackError: () => {},
    });
    await store.load();
    const recording = await recordMonitor(world.server);
    const results = await Promise.allSettled([
      store.save({ token: 'a' }),
      store.save({ token: 'fails' }),
      store.clear(),
      store.save({ token: 'b' }, { onlyIf: 'absent' }),
      store.save({ token: 'c' }, { onlyIf: 'absent' }),
      store.save({ token: 'd' }),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    const lines = await recording.stop();
    const tombstone = `credstream:cleared:{${store.id}}:${store.id}`;
    const nameOf = (key: string): string => (key === store.id ? '' : 'tombstone ');
    const writes = lines
      .filter(({ args }) => /^(set|del)$/i.test(args[0]!))
      .map(({ args }) => `${args[0]!.toLowerCase()} ${nameOf(args[1]!)}${args[2] ?? ''}`.trim());
    // The tombstone goes ahead of the removal, so that no reader finds the key gone and no tombstone. Each save ends an earlier clear.
    expect(writes).toEqual([
      'set tombstone ended',
      `set ${bytesOf('a')}`,
      expect.stringMatching(/^set tombstone [\w-]{36}:1$/),
      'del',
      'set tombstone ended',
      `set ${bytesOf('b')}`,
      'set tombstone ended',
      `set ${bytesOf('c')}`,
      'set tombstone ended',
      `set ${bytesOf('d')}`,
    ]);
    const others = lines
      .map(({ args }) => args[1] ?? '')
      .filter((key) => key.startsWith('credstream:cleared'));
    expect(new Set(others)).toEqual(new Set([tombstone]));
    expect(await redis.get(store.id)).toBe(bytesOf('d'));
  });

  it('of a hundred at once leave the last in Redis and in memory, and no warning', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on('warning', listen);
    world.track(listen, () => process.off('warning', listen));
    const redis = world.connect();
    const { store, key } = await world.watch<Token>(world.connect(), {
      serialize: async ({ token }) => bytesOf(token),
      deserialize: async (bytes) => JSON.parse(bytes.toString()) as Token,
    });
    await Promise.all(
      Array.from({ length: 100 }, (_, number) => store.save({ token: String(number) })),
    );
    expect(await redis.get(key)).toBe(bytesOf('99'));
    expect(store.current?.credentials).toEqual({ token: '99' });
    expect(warnings).toEqual([]);
  });
});
