import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';

import { RedisCredentialStore } from 'credstream';

import { startRedis } from '../support/redis.js';

const CANARY = 'canary-5f1d';
const PASSWORD = 'canary-password-77ab';

it.each([
  ['6', Redis],
  ['5', Redis5 as unknown as typeof Redis],
])(
  'an instrumentation that shows all arguments of ioredis %s shows neither values nor the password',
  async (_version, Client) => {
    const server = await startRedis();
    const shown: string[] = [];
    const { prototype } = Client;
    const send = prototype.sendCommand;
    let written = 0;
    // As a serializer of OpenTelemetry does, and as DEBUG does.
    prototype.sendCommand = function (this: Redis, command, ...rest) {
      const { args, name } = command as unknown as { args: unknown[]; name: string };
      shown.push([name, ...args.map(String)].join(' '), inspect(args), JSON.stringify(args));
      if (name.toLowerCase() === 'set') written += 1;
      return send.call(this, command, ...rest);
    };
    const admin = new Client({ host: server.host, port: server.port });
    try {
      await admin.config('SET', 'requirepass', PASSWORD);
      shown.length = 0;
      const template = new Client({
        ...{ host: server.host, port: server.port, password: PASSWORD, lazyConnect: true },
      });
      const kept: Buffer[] = [];
      const store = new RedisCredentialStore<string>(template, {
        key: 'k',
        serialize: (text) => {
          const bytes = Buffer.from(text);
          kept.push(bytes);
          return bytes;
        },
        deserialize: (bytes) => bytes.toString(),
      });
      await store.save(CANARY);
      const snapshot = await store.read();
      expect(snapshot?.credentials).toBe(CANARY);
      await store.save(`${CANARY} again`, { onlyIf: snapshot });
      expect(await store.load()).toBe(`${CANARY} again`);
      expect(written).toBeGreaterThanOrEqual(2);
      expect(shown.filter((text) => text.includes(CANARY) || text.includes(PASSWORD))).toEqual([]);
      // The bytes of the caller are copied and never wiped.
      expect(kept.map(String)).toEqual([CANARY, `${CANARY} again`]);
      await store.close();
      template.disconnect();
    } finally {
      prototype.sendCommand = send;
      admin.disconnect();
      await server.stop();
    }
  },
);
