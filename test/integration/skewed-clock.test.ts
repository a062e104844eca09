import { afterAll, beforeAll, expect, it } from 'vitest';

import { type Clock, Reauthenticator, RedisCredentialStore, systemClock } from 'credstream';

import { both } from '../support/both.js';
import { startRedis } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { connect } from '../support/redis-clients.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

it.each([-7_200_000, 0, 7_200_000])(
  'an end made with endsIn is right on a machine whose wall clock is %d ms off',
  async (offMs) => {
    const clock: Clock = { ...systemClock, now: () => Date.now() + offMs };
    const redis = connect(server);
    const store = new RedisCredentialStore<{ token: string; expiresAt: number }>(redis, {
      ...{ key: `k${String(offMs)}`, clock, expiresAt: ({ expiresAt }) => expiresAt },
    });
    let calls = 0;
    const refused: unknown[] = [];
    const auth = new Reauthenticator(store, {
      ...both(({ endsIn }) => {
        calls += 1;
        try {
          endsIn(Number.NaN);
        } catch (error) {
          refused.push(error);
        }
        return { token: 'a', expiresAt: endsIn(3_600) };
      }),
    });
    const { expiresAt } = await auth.credentials();
    expect(calls).toBe(1);
    expect(refused).toMatchObject([{ code: 'INVALID_OPTION', option: 'seconds' }]);
    // The server and this test share the wall clock of this machine.
    expect(Math.abs(expiresAt - Date.now() - 3_600_000)).toBeLessThan(5_000);
    await auth.close();
    await store.close();
    redis.disconnect();
  },
);
