import { describe, expect, it } from 'vitest';

import { startNodeProcess } from '../support/node-process.js';
import { uniqueKey, useRedis } from '../support/redis.js';

describe('a process that has closed its store', () => {
  const { url, track } = useRedis();

  it('has no timer left to wait for, and ends by itself', async () => {
    const child = track(
      await startNodeProcess<string[]>(new URL('./fixtures/closing-process.ts', import.meta.url), {
        env: { TEST_URL: url, TEST_KEY: uniqueKey() },
      }),
      (one) => one.stop(),
    );
    await expect(child.next(() => true, 30_000)).resolves.toEqual([]);
    await expect(child.exited).resolves.toEqual({ code: 0, signal: null });
  });
});
