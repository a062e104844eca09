import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';

import { type Certificate, makeAuthority, makeServerCertificate } from './certificates.js';
import { freePort } from './free-port.js';
import type { RedisServer, StartOptions } from './redis-server/index.js';
import { startRedis } from './redis.js';

/** A server that is reached over TLS, and over plain TCP by the tests themselves. */
export interface TlsRedis {
  readonly server: RedisServer;
  /** `rediss:` */
  readonly url: string;
  /** PEM of the authority that signed its certificate. */
  readonly ca: string;
  /** Who speaks TLS. */
  readonly by: 'redis' | 'terminator';
  stop(): Promise<void>;
}

/**
 * Starts a server with TLS of its own. Some are built without TLS, and in a container there is no second port: then something in front of it
 * terminates TLS, as with some services, so that what a test proves about the client's side is proved everywhere.
 */
export async function startTlsRedis(options: StartOptions = {}): Promise<TlsRedis> {
  const authority = await makeAuthority('credstream tests');
  const certificate = await makeServerCertificate(authority);
  const server = await startRedis(options);
  if (server.kind === 'binary') {
    const own = await startWithTls(options, authority, certificate);
    if (own !== undefined) {
      await server.stop();
      return own;
    }
  }
  const terminator = await terminateTls(server, certificate);
  return {
    server,
    url: terminator.url,
    ca: authority.cert,
    by: 'terminator',
    stop: async () => {
      await terminator.stop();
      await server.stop();
    },
  };
}

async function startWithTls(
  options: StartOptions,
  authority: Certificate,
  { key, cert }: Certificate,
): Promise<TlsRedis | undefined> {
  const dir = await mkdtemp(join(tmpdir(), 'credstream-tls-'));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(dir, name), content, { mode: 0o600 });
    return `"${join(dir, name)}"`;
  };
  try {
    const port = await freePort();
    const config = {
      ...options.config,
      'tls-port': String(port),
      'tls-cert-file': await file('redis.crt', cert),
      'tls-key-file': await file('redis.key', key),
      'tls-ca-cert-file': await file('ca.crt', authority.cert),
      'tls-auth-clients': 'no',
    };
    const server = await startRedis({ ...options, config });
    const stop = async (): Promise<void> => {
      await server.stop();
      await remove();
    };
    return { server, url: `rediss://127.0.0.1:${port}`, ca: authority.cert, by: 'redis', stop };
  } catch (error) {
    await remove();
    // Built without TLS it does not know these options; any other fault is one.
    if (String(error).includes('Bad directive')) return undefined;
    throw error;
  }
}

async function terminateTls(
  target: { readonly host: string; readonly port: number },
  certificate: Certificate,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const sockets = new Set<TLSSocket>();
  const terminator = createServer(certificate, (outside) => {
    sockets.add(outside);
    const inside = connect({ host: target.host, port: target.port });
    outside.pipe(inside).pipe(outside);
    for (const [one, other] of [
      [outside, inside],
      [inside, outside],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(outside);
        other.destroy();
      });
    }
  });
  const port = await freePort();
  terminator.listen(port, '127.0.0.1');
  await once(terminator, 'listening');
  return {
    url: `rediss://127.0.0.1:${port}`,
    stop: async () => {
      const closed = once(terminator, 'close');
      terminator.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
