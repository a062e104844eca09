import net from 'node:net';

import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { RedisCredentialStore } from '../../src/index.js';
import { slowness } from '../support/slowness.js';
import { eventually } from '../support/wait.js';

/** A value of RESP as this server writes it; text is written as it is, and need not be RESP. */
type Part = number | string | null | { readonly raw: string } | readonly Part[];

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

function resp(part: Part): string {
  if (part === null) return '_\r\n';
  if (typeof part === 'number') return `:${part}\r\n`;
  if (typeof part === 'string') return bulk(part);
  if ('raw' in part) return part.raw;
  return `*${part.length}\r\n${part.map(resp).join('')}`;
}

function* commandsIn(text: string): Generator<string[]> {
  const parts = text.split('\r\n');
  for (let at = 0; parts[at]?.startsWith('*');) {
    const count = Number(parts[at]!.slice(1));
    yield Array.from({ length: count }, (_, index) => parts[at + 2 + index * 2]!);
    at += 1 + count * 2;
  }
}

const valueOf = (key: string): string => JSON.stringify({ key });

/** The right reply to a read: question, key, size, bytes, end, time. */
function reading(key: string, question: string): Part[] {
  const value = valueOf(key);
  return [Number(question), key, value.length, value, -1, Date.now() * 1_000];
}

/** What the server makes of its right replies to reads. */
let distort: (right: Part[], key: string) => string = (right) => resp(right);
/** The reply of HELLO. */
let hello = '%1\r\n+role\r\n+master\r\n';
let connections = 0;

const sockets = new Set<net.Socket>();
const server = net.createServer((socket) => {
  connections += 1;
  sockets.add(socket);
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    for (const [name = '', ...args] of commandsIn(data.toString())) {
      const command = name.toUpperCase();
      // The first HELLO of a connection is that of ioredis, and has arguments.
      if (command === 'HELLO') socket.write(args.length > 0 ? '%1\r\n+role\r\n+master\r\n' : hello);
      else if (command === 'SUBSCRIBE')
        for (const [index, channel] of args.entries())
          socket.write(`>3\r\n${bulk('subscribe')}${bulk(channel)}:${index + 1}\r\n`);
      else if (command === 'PING')
        socket.write(args[0] === undefined ? '+PONG\r\n' : bulk(args[0]));
      // The trial of scripts names no key.
      else if (command.startsWith('EVAL') && args[1] === '0') socket.write(':0\r\n');
      else if (command.startsWith('EVAL'))
        socket.write(distort(reading(args[2]!, args.at(-1)!), args[2]!));
      else socket.write('+OK\r\n');
    }
  });
});

let redis: Redis;
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as net.AddressInfo;
  redis = new Redis({ port, lazyConnect: true });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((done) => server.close(done));
});
beforeEach(() => {
  distort = (right) => resp(right);
  hello = '%1\r\n+role\r\n+master\r\n';
});

const wrongTimes = [
  null,
  'x',
  { raw: ',nan\r\n' },
  { raw: ',inf\r\n' },
  -1,
  0,
  2 ** 53 - 1,
] as const;

/** Wrong replies, by what is wrong with them. */
const wrong: Record<string, (right: Part[], key: string) => string> = {
  'a status': () => '+OK\r\n',
  nothing: () => '_\r\n',
  'a number': () => ':5\r\n',
  'a map': () => '%1\r\n+a\r\n+b\r\n',
  'an empty list': () => resp([]),
  'a nested list': (right) => resp([right]),
  'too few elements': (right) => resp(right.slice(0, -1)),
  'too many elements': (right) => resp([...right, 1]),
  'another key': ([question, , ...rest]) => resp([question!, 'tenant-b', ...rest]),
  'no key': ([question, , ...rest]) => resp([question!, null, ...rest]),
  'another question': ([question, ...rest]) => resp([Number(question) - 1, ...rest]),
  'a size that is too small': ([q, key, size, ...rest]) =>
    resp([q!, key!, Number(size) - 1, ...rest]),
  'a size that is no number': ([q, key, , ...rest]) => resp([q!, key!, 'x', ...rest]),
  'bytes for an absent key': ([q, key, size, bytes, , time]) =>
    resp([q!, key!, size!, bytes!, -2, time!]),
  'no bytes for a key that has some': ([q, key, size, , end, time]) =>
    resp([q!, key!, size!, null, end!, time!]),
  'more bytes than asked for': ([q, key, , , end, time]) =>
    resp([q!, key!, 2_000, 'x'.repeat(2_000), end!, time!]),
  'an end before the year 2000': ([q, key, size, bytes, , time]) =>
    resp([q!, key!, size!, bytes!, 5, time!]),
  'an end that is no number': ([q, key, size, bytes, , time]) =>
    resp([q!, key!, size!, bytes!, { raw: ',nan\r\n' }, time!]),
  'no RESP at all': () => 'HTTP/1.1 400 Bad Request\r\n\r\n',
  ...Object.fromEntries(
    wrongTimes.map((time) => [
      `the time ${JSON.stringify(time)}`,
      (right: Part[]) => resp([...right.slice(0, -1), time]),
    ]),
  ),
};

describe('a reply to a read', () => {
  it.each(Object.keys(wrong))(
    'with %s ends the connection, and nothing is served from the reply',
    async (name) => {
      await using store = new RedisCredentialStore<{ key: string }>(redis, {
        key: 'tenant-a',
        maxBytes: 1_000,
        replyTimeoutMs: 200 * slowness(),
      });
      expect(await store.load()).toEqual({ key: 'tenant-a' });
      const before = connections;
      distort = wrong[name]!;
      await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      distort = (right) => resp(right);
      expect(await store.load()).toEqual({ key: 'tenant-a' });
      expect(connections).toBeGreaterThan(before);
    },
  );

  it('that is surplus is never taken for the next one', async () => {
    await using a = new RedisCredentialStore<{ key: string }>(redis, { key: 'tenant-a' });
    await using b = new RedisCredentialStore<{ key: string }>(redis, { key: 'tenant-b' });
    let version = 0;
    const seen: unknown[] = [];
    for (const twice of [false, true, false]) {
      distort = ([question, key, , , end, time]) => {
        version += 1;
        const value = JSON.stringify({ key, version });
        const reply = resp([question!, key!, value.length, value, end!, time!]);
        return twice && key === 'tenant-a' ? reply + reply : reply;
      };
      for (const store of [a, a, b, b]) {
        const got = await store.load().catch(() => undefined);
        if (got !== undefined) seen.push([store.id, got.key]);
      }
    }
    expect(seen.length).toBeGreaterThan(4);
    for (const [id, key] of seen as [string, string][]) expect(key).toBe(id);
  });

  it('is right, or is refused, whatever is done to it', async () => {
    const part = fc.oneof(
      fc.integer(),
      fc.constantFrom<Part>(null, -1, -2, 0, 2 ** 53, '', 'tenant-b', 'another text', []),
      fc
        .constantFrom(
          ',nan\r\n',
          ',inf\r\n',
          '#t\r\n',
          '(99999999999999999999\r\n',
          '%0\r\n',
          '~0\r\n',
        )
        .map((raw) => ({ raw })),
    );
    const distortion = fc.oneof(
      fc.tuple(fc.nat(5), part).map(
        ([at, one]) =>
          (right: Part[]) =>
            resp(right.with(at, one)),
      ),
      fc.tuple(fc.nat(5), fc.nat(5)).map(([from, to]) => (right: Part[]) => {
        const moved = [...right];
        moved.splice(to, 0, ...moved.splice(from, 1));
        return resp(moved);
      }),
      fc.tuple(fc.nat(5), part).map(([at, one]) => (right: Part[]) => {
        const longer = [...right];
        longer.splice(at, 0, one);
        return resp(longer);
      }),
      fc.nat(5).map((at) => (right: Part[]) => resp(right.filter((_, index) => index !== at))),
    );
    await using store = new RedisCredentialStore<{ key: string }>(redis, {
      key: 'tenant-a',
      replyTimeoutMs: 100 * slowness(),
    });
    await fc.assert(
      fc.asyncProperty(distortion, async (how) => {
        distort = how;
        const got = await store.load().catch((error: unknown) => error);
        if (got instanceof Error) expect(got).toMatchObject({ code: 'UNAVAILABLE' });
        else expect(got).toEqual({ key: 'tenant-a' });
      }),
      { numRuns: 60 },
    );
  });
});

it.each(['+OK\r\n', ':1\r\n', '*0\r\n', '%1\r\n+mode\r\n+cluster\r\n', '_\r\n'])(
  'a server whose reply to HELLO is %j is not trusted',
  async (reply) => {
    hello = reply;
    await using store = new RedisCredentialStore(redis, { key: 'tenant-a' });
    await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  },
);

it('a watching store withholds nothing wrong, and goes on when the server is right again', async () => {
  await using store = new RedisCredentialStore<{ key: string }>(redis, {
    key: 'tenant-a',
    heartbeatMs: 50,
    pollMs: 50,
  });
  await store.ready();
  expect(store.current?.credentials).toEqual({ key: 'tenant-a' });
  distort = wrong['another key']!;
  await eventually(() => expect(store.status.link).toBe('reconnecting'));
  distort = (right) => resp(right);
  await eventually(() => expect(store.status.link).toBe('live'));
  expect(store.current?.credentials).toEqual({ key: 'tenant-a' });
});
