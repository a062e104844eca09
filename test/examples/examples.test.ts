import { readdir, readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { NOTIFICATIONS } from '../integration/world.js';
import { useRedis } from '../support/redis.js';
import { EXAMPLES, run } from './finished-process.js';

/** Only an example that hangs reaches it. */
const TIMEOUT_MS = 120_000;

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
    'instance A: Lisbon: sunny, or not',
    'instance B: Lisbon: sunny, or not',
    'instance A: Lisbon: sunny, or not (remembered)',
    'instance B: Lisbon: sunny, or not (remembered)',
    'forgets Lisbon',
    'forgets Lisbon',
    'instance A: Lisbon: hour by hour',
    'instance B: Lisbon: hour by hour',
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
  '07-oauth-refresh.ts': [
    'logged in, and every instance has the token; refreshes: 0',
    'all instances have the same new token: true',
    'refreshes: 1',
    'the API answered 401, then 200 - what came back: 200',
    'refreshes: 2',
    'after the logout: the credentials were cleared',
    'after the logout: the credentials were cleared',
    'after the logout: the credentials were cleared',
  ],
  '08-database-password-rotation.ts': [
    'both instances query as app_blue and app_blue',
    'passwords made: 1',
    'no query was refused; all were made as app_blue or app_green',
    'a slow query that began as app_blue has ended',
    'passwords made: 2',
    'with the old password: 28P01',
  ],
  '09-abort-fetch-on-revocation.ts': [
    'a report is under way',
    '/me: me',
    'tokens issued: 2',
    '/report: half of the report',
    'another report is under way',
    '/report aborted: cleared, the token has leaked',
    'a request after that: the credentials were cleared',
  ],
  '10-many-tenants.ts': [
    'logins: 4, at the same time: 2',
    'the other instance heard of acme, globex, initech, umbrella',
    'acme gets /invoices with a token of 11 characters',
    'in memory: true',
    'stored: acme, globex, initech, umbrella',
    'clearing …',
    'cleared 4, failed 0: a laptop was stolen',
  ],
};

const OUTAGE =
  /^\(node:\d+\) CredstreamWarning: Redis at .* could not be reached .*; the stores on this client keep trying\n.*--trace-warnings.*\n/;

/** As {@link EXPECTED}, of those that start servers of their own. */
const WITH_SERVERS: Readonly<Record<string, readonly string[]>> = {
  'cluster/main.ts': [
    'three masters and three replicas are running',
    'link: live',
    'heard of acme, stark, umbrella, which are on 3 masters',
    'change: saved',
    'replicas that have it: 1',
    'the slot of the key has moved to another master, changes told: 0',
    'change: saved',
    'that master was killed',
    'still known: 12 characters',
    'its replica has taken over',
    'the new master has 25 bytes',
    'tenants cleared: 3',
    'link: closed',
  ],
  'sentinel/main.ts': [
    'a master, two replicas and three sentinels are running',
    'link: live',
    'change: saved',
    'the master was killed',
    'still known: 12 characters',
    'the sentinels have made a replica the master',
    'the new master has 25 bytes',
    'link: closed',
  ],
};

/** Needs a PostgreSQL, too. */
const WITH_DATABASE = '08-database-password-rotation.ts';
const NO_DATABASE = 'No PostgreSQL to start: ';
/** Its secrets are those of a provider that makes them up. */
const WITH_PROVIDER = '07-oauth-refresh.ts';

/** How every secret of the examples begins. */
const SECRET = 'secret-';
/** What a random one looks like, of whatever maker. */
const RANDOM = /[\w-]{24,}/;

const names = Object.keys(EXPECTED);

// At the same time: an example waits most of its time, for servers and for ends.
describe('the examples', { timeout: TIMEOUT_MS + 30_000, concurrent: true }, () => {
  const redis = useRedis('suite');

  it('all have a test', async () => {
    const found = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.ts'));
    expect(found.toSorted()).toEqual(names);
  });

  it.each(names)('%s does its work, shows no secret and leaves nothing behind', async (name) => {
    const server = await redis.startRedis({ config: NOTIFICATIONS });
    const { code, stdout, stderr } = await run(name, {
      env: { REDIS_URL: server.url },
      timeoutMs: TIMEOUT_MS,
    });
    expect(stderr).toBe('');
    if (name === WITH_DATABASE && stdout.startsWith(NO_DATABASE)) {
      // All that can be seen of it on a machine without one.
      expect(code).toBe(1);
      return;
    }
    expect(stdout).toMatch(inOrder(EXPECTED[name]!));
    expect(code).toBe(0);

    if (name !== WITH_PROVIDER)
      expect(await readFile(`${EXAMPLES}${name}`, 'utf8')).toContain(SECRET);
    expect(stdout).not.toContain(SECRET);
    expect(stdout).not.toMatch(RANDOM);
    expect(await redis.connect(server).keys('example:*')).toEqual([]);
  });

  it.each(Object.keys(WITH_SERVERS))(
    '%s starts the servers that it needs and does its work',
    async (name) => {
      const { code, stdout, stderr } = await run(name, { timeoutMs: TIMEOUT_MS });
      // While no master can be reached, a connect may fail, of which one warning speaks.
      expect(stderr.replace(OUTAGE, '')).toBe('');
      expect(stdout).toMatch(inOrder(WITH_SERVERS[name]!));
      expect(stdout).not.toContain(SECRET);
      expect(code).toBe(0);
    },
  );

  it('name the missing program where there is no PostgreSQL', async () => {
    const { code, stdout, stderr } = await run(WITH_DATABASE, {
      env: { REDIS_URL: '', PG_BIN: '/no/postgres' },
      timeoutMs: TIMEOUT_MS,
    });
    expect(stdout).toMatch(new RegExp(`^${NO_DATABASE}.*PG_BIN.*\n$`));
    expect(stderr).toBe('');
    expect(code).toBe(1);
  });

  it('start a Redis themselves where none is given', async () => {
    const { code, stdout } = await run('01-plain-persistence.ts', {
      env: { REDIS_URL: '' },
      timeoutMs: TIMEOUT_MS,
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
