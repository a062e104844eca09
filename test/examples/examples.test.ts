import { readdir, readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { NOTIFICATIONS } from '../integration/world.js';
import { useRedis } from '../support/redis.js';
import { EXAMPLES, run } from './finished-process.js';

/** What each example has to print, in this order; other lines may stand between. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  '01-plain-persistence.ts': [
    'before anything is saved: undefined',
    'loaded a key of 12 characters',
    'Redis keeps 12 bytes for 3600 s',
    'cleared: true',
    'cleared once more: false',
  ],
  '02-subscribe-to-changes.ts': [
    'nothing to work with',
    'there is a key to work with',
    'stream: saved, by: another credstream process',
    'iteration: saved',
    'stream: saved, by: out-of-band',
    'stream: renewed, by: out-of-band',
    'nothing to work with',
    'stream: cleared, by: another credstream process',
    'event: cleared, reason: the customer left',
    'iteration: cleared',
  ],
  '03-invalidate-a-cache.ts': [
    'node A: Lisbon: sunny, or not',
    'node B: Lisbon: sunny, or not',
    'node A: Lisbon: sunny, or not (remembered)',
    'node B: Lisbon: sunny, or not (remembered)',
    'forgets Lisbon',
    'forgets Lisbon',
    'node A: Lisbon: hour by hour',
    'node B: Lisbon: hour by hour',
  ],
  '04-react-to-expiry.ts': [
    'saved, valid for 2 s',
    'expiring: half a second left',
    'expired (live); valid now: none',
    'refreshing with a refresh token of 16 characters',
    'refreshed, valid for 60 s',
  ],
  '05-abort-withdrawn.ts': [
    'the request is under way',
    'the request was aborted: cleared, the token has leaked',
  ],
  '06-graceful-shutdown.ts': [
    'job 1 done',
    'SIGTERM: no new jobs',
    'the streams of the store have ended',
    'the store is closed, your client is ready',
  ],
};

/** How every secret of the examples begins. */
const SECRET = 'secret-';

const names = Object.keys(EXPECTED);

describe('the examples', () => {
  const redis = useRedis();

  it('are all run here', async () => {
    const found = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.ts'));
    expect(found.toSorted()).toEqual(names);
  });

  it.each(names)(
    '%s does what it says, shows no secret and leaves nothing behind',
    async (name) => {
      const server = await redis.startRedis({ config: NOTIFICATIONS });
      const { code, stdout, stderr } = await run(name, {
        env: { REDIS_URL: server.url },
        timeoutMs: 20_000,
      });
      expect(stderr).toBe('');
      expect(stdout).toMatch(inOrder(EXPECTED[name]!));
      expect(code).toBe(0);

      expect(await readFile(`${EXAMPLES}${name}`, 'utf8')).toContain(SECRET);
      expect(stdout).not.toContain(SECRET);
      expect(await redis.connect(server).keys('example:*')).toEqual([]);
    },
  );

  it('start a Redis themselves where none is given', async () => {
    const { code, stdout } = await run('01-plain-persistence.ts', {
      env: { REDIS_URL: '' },
      timeoutMs: 25_000,
    });
    expect(stdout).toMatch(inOrder(EXPECTED['01-plain-persistence.ts']!));
    expect(code).toBe(0);
  });
});

/** Lines that end like this, one after the other. */
function inOrder(lines: readonly string[]): RegExp {
  const escaped = lines.map((line) => line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(escaped.map((line) => `${line}\n`).join('[^]*?'));
}
