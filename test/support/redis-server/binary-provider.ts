import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort } from '../free-port.js';
import { BinaryServer, PortTakenError } from './binary-server.js';
import type { RedisBinary } from './redis-binary.js';
import type { RedisProvider, RedisServer, StartOptions } from './redis-server.js';

/** Starts servers from a program on this machine. */
export function binaryProvider(binary: RedisBinary): RedisProvider {
  return {
    kind: 'binary',
    description: `${binary.command} ${binary.version}`,
    start: (options) => startBinary(binary, options),
  };
}

async function startBinary(binary: RedisBinary, options: StartOptions = {}): Promise<RedisServer> {
  const { args = [], config = {} } = options;
  const temporary = options.dir === undefined;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'credstream-redis-')));
  try {
    for (let attempt = 1; ; attempt += 1) {
      const port = options.port ?? (await freePort());
      const server = new BinaryServer({ binary, port, dir, temporary, args, config });
      try {
        await server.launch();
        return server;
      } catch (error) {
        const otherPortMayDo = error instanceof PortTakenError && options.port === undefined;
        if (!otherPortMayDo || attempt === 10) throw error;
      }
    }
  } catch (error) {
    if (temporary) await rm(dir, { recursive: true, force: true });
    throw error;
  }
}
