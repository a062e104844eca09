import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { type MonitoredCommand, recordMonitor } from '../support/command-counter.js';
import { connect, disconnect, uniquePrefix } from '../support/redis.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import { type Scene, useCluster } from './support/cluster.js';
import type { Tokens } from './support/oauth-client.js';

// Without keyspace notifications: what is not announced is seen by polling.
const cluster = useCluster({
  'notify-keyspace-events': '',
  'slowlog-log-slower-than': '0',
  'slowlog-max-len': '100000',
});

const PASSWORD = 'password';
/** Without any one of these nothing works; with the others of a watching writer it learns of changes sooner. */
const COMMANDS = '+evalsha_ro +eval_ro +strlen +get +pexpiretime +time +set +del +evalsha +eval';

/** Makes a user who may do this and nothing else, and gives what an instance has to know. */
async function makeUser(name: string, rules: string) {
  const all = ['reset', 'on', `>${PASSWORD}`, '-@all', ...rules.split(/\s+/)];
  const words = rulesFor(await abilitiesOf(cluster.admin), all);
  await cluster.admin.call('ACL', 'SETUSER', name, ...words);
  return { username: name, password: PASSWORD };
}

async function refusedTo(name: string): Promise<string[]> {
  const log = (await cluster.admin.call('ACL', 'LOG', 1_000)) as string[][];
  const field = (entry: string[], key: string): string => entry[entry.indexOf(key) + 1] ?? '';
  const own = log.filter((entry) => field(entry, 'username') === name);
  return own.map((entry) => `${field(entry, 'reason')} ${field(entry, 'object')}`);
}

async function expectOneRefresh(scene: Scene): Promise<void> {
  await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
  await scene.agree((await scene.stored())!.accessToken);
  const { calls, revoked } = await cluster.provider.report();
  expect([calls.map(({ outcome }) => outcome), revoked]).toEqual([['granted'], 0]);
}

describe('the rights of a process that re-authenticates', () => {
  const keysOf = (prefix: string): string =>
    ['', 'credstream:attempt:{', 'credstream:cleared:{', 'credstream:stage:{']
      .map((kind) => `~${kind}${prefix}*`)
      .join(' ');

  it('are four kinds of keys and ten commands; without channels and notifications it still converges', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(`${prefix}u`, `${COMMANDS} ${keysOf(prefix)} resetchannels`);
    const scene = await cluster.play(0, { ...user, key: `${prefix}tokens` });
    await expectOneRefresh(scene);
    for (const instance of scene.instances)
      expect((await instance.view()).notifications).toBe('polling');
    // A logout is seen too, and stays one.
    await scene.store.clear();
    await eventually(async () => {
      for (const instance of scene.instances) expect((await instance.view()).stored).toBe('absent');
    });
    for (const instance of scene.instances)
      expect(await instance.call({ does: 'get' })).toMatchObject({ error: { reason: 'cleared' } });
    const refused = await refusedTo(user.username);
    const optional =
      /^command (client\|setname|multi|exec|publish|p?subscribe|p?unsubscribe)$|^channel |^key credstream:(epoch|probe:)/;
    expect(refused.filter((one) => !optional.test(one))).toEqual([]);
  });

  it.each(['attempt', 'cleared'])(
    'without the keys of %ss lead to a refusal without a call, and the process receives the results of others',
    async (kind) => {
      const prefix = uniquePrefix();
      const without = keysOf(prefix).replace(`~credstream:${kind}:{${prefix}*`, '');
      const user = await makeUser(`${prefix}u`, `${COMMANDS} ${without} resetchannels`);
      const scene = await cluster.play(0, { ...user, key: `${prefix}tokens` });
      for (const instance of scene.instances)
        expect(await instance.says('state', ({ error }) => error === 'REFUSED')).toMatchObject({
          state: 'backing-off',
          reply: 'NOPERM',
        });
      expect(await scene.instances[0]!.call({ does: 'get', timeoutMs: 200 })).toMatchObject({
        error: { code: 'REFUSED' },
      });
      expect((await cluster.provider.report()).calls).toEqual([]);
      expect(await scene.stored()).toEqual(scene.first);
      const able = await cluster.start();
      cluster.track(able, (instance) => instance.stop());
      await able.call({ does: 'open', settings: cluster.settings(scene.key) });
      await expectOneRefresh(scene);
      await Promise.all(scene.instances.map((instance) => instance.isIn('idle')));
    },
  );
});

/** All that must not be seen: tokens, and digests of what is stored. */
function secretsOf(all: readonly Tokens[]): string[] {
  return all.flatMap((tokens) => {
    const bytes = JSON.stringify(tokens);
    const digests = ['sha1', 'sha256', 'md5'].flatMap((algorithm) =>
      (['hex', 'base64'] as const).map((encoding) =>
        createHash(algorithm).update(bytes).digest(encoding),
      ),
    );
    return [tokens.accessToken, tokens.refreshToken, ...digests];
  });
}

/** The one place where a secret belongs: the value that SET writes to the credential or its staged copy. */
function isWriting({ args }: Pick<MonitoredCommand, 'args'>, key: string): boolean {
  const [name = '', target = ''] = args;
  const staged = target.startsWith(`credstream:stage:{${key}}:`);
  return name.toUpperCase() === 'SET' && (target === key || staged);
}

it('tokens appear where SET writes them, and nowhere else', async () => {
  const { admin, provider, redis } = cluster;
  const published: string[] = [];
  const listener = cluster.track(connect(redis), disconnect);
  listener.on('pmessage', (_pattern, channel, message) => published.push(channel, message));
  await listener.psubscribe('*');
  await admin.slowlog('RESET');
  const recording = await recordMonitor(redis);
  const records: unknown[] = [];
  const all: Tokens[] = [];

  // A success, failures, a result that is refused, and one that fails for good.
  await provider.behave('down');
  const scene = await cluster.play(0, { traced: true, gates: ['after'] });
  all.push(scene.first);
  await eventually(async () => expect((await scene.record())!.failures).toBeGreaterThan(1));
  records.push(await scene.record());
  await provider.behave('normal');
  for (const instance of scene.instances) await instance.call({ does: 'pass' });
  await expect.poll(() => scene.stored()).not.toEqual(scene.first);
  all.push((await scene.stored())!);
  await scene.agree(all[1]!.accessToken);
  records.push(await scene.record());
  await provider.tell('revoke');
  const [instance] = scene.instances;
  await instance!.call({ does: 'reject', times: 1 });
  await instance!.isIn('failed');
  const failed = await instance!.call({ does: 'get' });
  records.push(await scene.record(), failed);
  all.push(await scene.logIn());
  await scene.agree(all[2]!.accessToken);
  await scene.store.clear({ reason: 'logout' });
  await eventually(async () => expect((await instance!.view()).stored).toBe('absent'));
  records.push(await instance!.call({ does: 'get' }), await admin.keys('*'));
  const lines = await recording.stop();

  const secrets = secretsOf(all);
  const shows = (text: string): boolean => secrets.some((secret) => text.includes(secret));
  const showing = lines.filter(({ text }) => shows(text));
  expect(showing.filter((line) => !isWriting(line, scene.key)).map(({ text }) => text)).toEqual([]);
  // Two logins, and one refresh: staged, and then written by the script.
  expect(showing.filter(({ args }) => args[1] === scene.key)).toHaveLength(3);
  expect(showing.filter(({ args }) => args[1] !== scene.key)).toHaveLength(1);

  const log = (await admin.slowlog('GET', 100_000)) as [number, number, number, string[]][];
  const scripts = log.filter(([, , , args]) => /^eval/i.test(args[0] ?? ''));
  expect(scripts.length).toBeGreaterThan(5);
  expect(scripts.filter(([, , , args]) => shows(args.join(' ')))).toEqual([]);

  expect(published.length).toBeGreaterThan(5);
  expect(published.filter(shows)).toEqual([]);
  expect(shows(JSON.stringify(records))).toBe(false);
  const said = scene.instances.flatMap((one) => [
    ...one.said('state').map(({ shown }) => shown),
    ...one.said('failure').map(({ message }) => message),
  ]);
  expect(said.length).toBeGreaterThan(5);
  expect(said.filter(shows)).toEqual([]);
  const traced = scene.instances.flatMap((one) => one.said('traced').map(({ shown }) => shown));
  expect(traced.filter((text) => text.includes('credstream:attempt:')).length).toBeGreaterThan(5);
  expect(traced.filter(shows)).toEqual([]);
});
