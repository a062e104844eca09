import { beforeEach, describe, expect, it } from 'vitest';

import { useCleanup } from '../../support/cleanup.js';
import {
  createTcpProxy,
  nonSubscribers,
  subscribers,
  type TcpProxy,
} from '../../support/tcp-proxy.js';
import { eventually } from '../../support/wait.js';
import { type EchoServer, open, type Peer, startEchoServer } from './echo-server.js';

const { track } = useCleanup();
let server: EchoServer;
let proxy: TcpProxy;

beforeEach(async () => {
  server = track(await startEchoServer(), (it) => it.close());
  proxy = track(await createTcpProxy({ target: server }), (it) => it.close());
});

function client(): Peer {
  return track(open(proxy.port), ({ socket }) => socket.destroy());
}

async function expectEcho(peer: Peer, text: string, expected = text): Promise<void> {
  const before = peer.received;
  peer.socket.write(text);
  await eventually(() => expect(peer.received).toBe(before + expected));
}

/** A round trip on another connection: what was to happen to the first has had its time. */
async function meanwhile(): Promise<void> {
  await expectEcho(client(), 'meanwhile');
}

describe('a healthy proxy', () => {
  it('passes bytes both ways and counts them', async () => {
    await expectEcho(client(), 'hello');
    await expectEcho(client(), 'you');
    expect(proxy.bytes).toEqual({ toServer: 8, toClient: 8 });
    expect(proxy.links.map(({ bytes }) => bytes.toClient)).toEqual([5, 3]);
    expect(proxy.connections).toBe(2);
  });

  it('passes on the end of one side and lets the other still send', async () => {
    const peer = client();
    peer.socket.allowHalfOpen = true;
    peer.socket.end('last words');
    await eventually(() => expect(peer.hasEnded).toBe(true));
    expect(peer.received).toBe('last words');
    await eventually(() => expect(proxy.connections).toBe(0));
  });

  it('passes on a reset', async () => {
    const peer = client();
    await expectEcho(peer, 'x');
    peer.socket.resetAndDestroy();
    await eventually(() => expect(server.peers[0]?.error?.code).toBe('ECONNRESET'));
    await eventually(() => expect(proxy.connections).toBe(0));
  });

  it('resets a client when the server refuses', async () => {
    await server.close();
    const peer = client();
    await eventually(() => expect(peer.error?.code).toBe('ECONNRESET'));
    server = track(await startEchoServer(), (it) => it.close());
  });

  it('sends new connections to a new target', async () => {
    await expectEcho(client(), 'x');
    const other = track(await startEchoServer(), (it) => it.close());
    proxy.target = other;
    await expectEcho(client(), 'y');
    expect([server, other].map(({ peers }) => peers[0]?.received)).toEqual(['x', 'y']);
  });
});

describe('breaking links', () => {
  it('cut() resets both sides, of selected links alone', async () => {
    const [subscriber, other] = [client(), client()];
    await expectEcho(subscriber, '*2\r\n$9\r\nsubscribe\r\n$1\r\na\r\n');
    await expectEcho(other, '*1\r\n$4\r\nPING\r\n');
    proxy.cut({ select: subscribers });
    await eventually(() => expect(subscriber.error?.code).toBe('ECONNRESET'));
    await eventually(() => expect(server.peers[0]?.error?.code).toBe('ECONNRESET'));
    await expectEcho(other, 'still here');
    proxy.cut({ select: nonSubscribers });
    await eventually(() => expect(other.error?.code).toBe('ECONNRESET'));
  });

  it('end() ends both sides without an error', async () => {
    const peer = client();
    await expectEcho(peer, 'x');
    proxy.end();
    await eventually(() => expect(peer.isClosed).toBe(true));
    expect([peer.hasEnded, peer.error]).toEqual([true, undefined]);
    await eventually(() => expect(server.peers[0]?.isClosed).toBe(true));
    expect(server.peers[0]?.error).toBeUndefined();
  });

  it('cut() gets rid of links that are just being ended', async () => {
    await expectEcho(client(), 'x');
    proxy.end();
    proxy.cut();
    await eventually(() => expect(proxy.connections).toBe(0));
  });

  it('refuse() closes the port for new connections until accept()', async () => {
    const existing = client();
    await expectEcho(existing, 'x');
    proxy.refuse();
    const refused = client();
    await eventually(() => expect(refused.error?.code).toBe('ECONNREFUSED'));
    await expectEcho(existing, 'y');
    await proxy.accept();
    await expectEcho(client(), 'z');
    proxy.refuse({ reset: true });
    await eventually(() => expect(existing.error?.code).toBe('ECONNRESET'));
  });

  it('hold() accepts and never answers', async () => {
    await proxy.hold();
    const held = client();
    held.socket.write('hello');
    await eventually(() => expect(proxy.links[0]?.sentText).toBe('hello'));
    await proxy.accept();
    await meanwhile();
    expect(held.received).toBe('');
    expect(server.peers).toHaveLength(1);
    proxy.cut();
    await eventually(() => expect(held.isClosed).toBe(true));
  });

  it('close() resets every open link and frees the port', async () => {
    const peer = client();
    await expectEcho(peer, 'x');
    await proxy.close();
    await proxy.closed;
    expect(proxy.connections).toBe(0);
    const late = client();
    await eventually(() => expect(late.error?.code).toBe('ECONNREFUSED'));
  });
});

describe('a black hole', () => {
  it('holds bytes in one direction and lets them flow on in order', async () => {
    const peer = client();
    await expectEcho(peer, 'a');
    proxy.pause('toServer', { select: ({ id }) => id === 1 });
    for (const text of ['b', 'c', 'd']) peer.socket.write(text);
    await eventually(() => expect(proxy.links[0]?.sentText).toBe('abcd'));
    await meanwhile();
    expect(server.peers[0]?.received).toBe('a');
    proxy.resume('toClient');
    await meanwhile();
    expect(server.peers[0]?.received).toBe('a');
    proxy.resume();
    await eventually(() => expect(peer.received).toBe('abcd'));
  });

  it('holds the reply alone when it swallows toClient', async () => {
    const peer = client();
    await expectEcho(peer, 'a');
    proxy.pause('toClient');
    peer.socket.write('b');
    await eventually(() => expect(server.peers[0]?.received).toBe('ab'));
    expect(peer.received).toBe('a');
    proxy.resume('toClient');
    await eventually(() => expect(peer.received).toBe('ab'));
  });

  it('passes neither an end nor a reset on to the server', async () => {
    const [ending, resetting] = [client(), client()];
    await expectEcho(ending, 'a');
    await expectEcho(resetting, 'a');
    const select = ({ id }: { id: number }): boolean => id <= 2;
    proxy.pause('both', { select });
    ending.socket.end();
    resetting.socket.resetAndDestroy();
    await meanwhile();
    const told = (): unknown[] => server.peers.slice(0, 2).map((p) => p.hasEnded || p.isClosed);
    expect(told()).toEqual([false, false]);
    proxy.resume('both', { select });
    await eventually(() => expect(told()).toEqual([true, true]));
  });

  it('drops its held bytes on request', async () => {
    const peer = client();
    await expectEcho(peer, 'a');
    proxy.pause('toServer');
    peer.socket.write('lost');
    await eventually(() => expect(proxy.links[0]?.sentText).toBe('alost'));
    proxy.resume('toServer', { drop: true });
    await expectEcho(peer, 'b');
    expect(server.peers[0]?.received).toBe('ab');
  });

  it('also applies to links that match only later', async () => {
    const peer = client();
    proxy.pause('toServer', { select: ({ sentText }) => sentText.includes('secret word') });
    await expectEcho(peer, 'harmless ');
    peer.socket.write('secret word');
    await eventually(() => expect(proxy.links[0]?.sentText).toContain('secret word'));
    await meanwhile();
    expect(server.peers[0]?.received).toBe('harmless ');
  });

  it('fills the buffers of the sender rather than its own', async () => {
    const peer = client();
    await expectEcho(peer, 'a');
    proxy.pause('toServer', { select: ({ id }) => id === 1 });
    const size = 32 * 1024 * 1024;
    let flushed = false;
    peer.socket.write(Buffer.alloc(size, 'x'), () => (flushed = true));
    for (let round = 0; round < 20; round += 1) await meanwhile();
    expect(flushed).toBe(false);
    proxy.resume();
    await eventually(() => expect(peer.received).toHaveLength(size + 1), { timeoutMs: 20_000 });
  });
});

describe('a slow link', () => {
  it('delays each direction, and never lets later bytes overtake', async () => {
    const peer = client();
    await expectEcho(peer, 'x');
    proxy.delay(60, 'toServer');
    proxy.delay(40, 'toClient');
    const start = performance.now();
    await expectEcho(peer, 'a');
    expect(performance.now() - start).toBeGreaterThanOrEqual(99);
    peer.socket.write('slow ');
    await eventually(() => expect(proxy.links[0]?.sentText).toBe('xaslow '));
    proxy.delay(0);
    await expectEcho(peer, 'fast', 'slow fast');
  });

  it('slices bytes with gaps, and keeps them', async () => {
    const peer = client();
    proxy.slice(1, 5, 'toServer');
    const start = performance.now();
    await expectEcho(peer, 'abcdefgh');
    expect(performance.now() - start).toBeGreaterThanOrEqual(34);
    expect(server.peers[0]?.chunks).toBeGreaterThan(1);
    proxy.slice(0, 0);
    await expectEcho(peer, 'ijkl');
  });
});

describe('interceptors', () => {
  it('see, change and swallow bytes until taken away', async () => {
    const peer = client();
    const seen: string[] = [];
    const remove = proxy.onData('toServer', (chunk) => {
      seen.push(chunk.toString());
      if (chunk.includes('drop')) return null;
      return chunk.includes('change') ? 'changed' : undefined;
    });
    await expectEcho(peer, 'plain');
    peer.socket.write('drop');
    await eventually(() => expect(seen).toEqual(['plain', 'drop']));
    await expectEcho(peer, 'change', 'changed');
    remove();
    await expectEcho(peer, 'drop');
    expect(server.peers[0]?.received).toBe('plainchangeddrop');
  });

  it('cutAfter() delivers the command and loses the reply, once', async () => {
    const cut = proxy.cutAfter('toServer', 'SAVE me');
    const peer = client();
    await expectEcho(peer, 'before ');
    peer.socket.write('save');
    await eventually(() => expect(server.peers[0]?.received).toBe('before save'));
    await eventually(() => expect(peer.received).toBe('before save'));
    // The marker comes in two chunks.
    peer.socket.write(' me now');
    expect((await cut).id).toBe(1);
    await eventually(() => expect(peer.error?.code).toBe('ECONNRESET'));
    await eventually(() => expect(server.peers[0]?.hasEnded).toBe(true));
    expect(server.peers[0]?.received).toBe('before save me now');
    expect(peer.received).toBe('before save');
    await expectEcho(client(), 'save me');

    proxy.delay(20);
    const later = proxy.cutAfter('toServer', 'slow');
    client().socket.write('slow command');
    await later;
    await eventually(() => expect(server.peers[2]?.received).toBe('slow command'));
  });

  it('cutAfter() on the way back delivers the reply and then cuts', async () => {
    const cut = proxy.cutAfter('toClient', 'reply');
    const peer = client();
    peer.socket.write('a reply!');
    await cut;
    await eventually(() => expect(peer.isClosed).toBe(true));
    expect(peer.received).toBe('a reply!');
    await eventually(() => expect(server.peers[0]?.error?.code).toBe('ECONNRESET'));
  });

  it('heal() removes every fault', async () => {
    const peer = client();
    await expectEcho(peer, 'a');
    proxy.pause();
    proxy.delay(60_000);
    proxy.onData('both', () => null);
    proxy.refuse();
    await proxy.heal();
    await expectEcho(peer, 'b');
    await expectEcho(client(), 'c');
  });
});
