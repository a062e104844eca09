import { setTimeout as delay } from 'node:timers/promises';

import type { Bench, BenchContext, Finding } from './bench.js';
import { median } from './statistics.js';
import { type Worker, Workers } from './worker.js';
import type { AuthenticatorCalls, AuthenticatorPlace } from './workers/authenticator.js';

const LEASE_MS = 1_000;
/** A lease, and by how much instances that wait for its end come apart. */
const TAKEOVER_MS = LEASE_MS * 1.1;
const LIFETIME_MS = 800;
const HOT_NS = 1_000;

const PLACE = {
  key: 'bench:token',
  leaseMs: LEASE_MS,
  lifetimeMs: 3_600_000,
  first: 'answer',
} as const;

type Authenticator = Worker<AuthenticatorCalls>;

async function stage(
  { library, startRedis }: BenchContext,
  count: number,
  place: Partial<AuthenticatorPlace>,
  run: (instances: readonly Authenticator[]) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  await using server = await startRedis();
  await using workers = new Workers(library);
  const instances: Authenticator[] = [];
  while (instances.length < count) instances.push(await workers.start('authenticator'));
  await Promise.all(
    instances.map((instance) => instance.call('open', { ...PLACE, url: server.url, ...place })),
  );
  return await run(instances);
}

/** From the provider's answer in the process that holds the lease to the new credentials in another process. */
function commitToUse(context: BenchContext): Promise<readonly Finding[]> {
  const rounds = context.quick ? 100 : 500;
  return stage(context, 2, {}, async ([one, two]) => {
    const ours: number[] = [];
    const floors: number[] = [];
    await one!.call('ask');
    for (let round = 0; round < rounds; round += 1) {
      const both = await Promise.all([one!.call('replace'), two!.call('replace')]);
      const holder = both.find(({ calledHere }) => calledHere);
      const other = both.find(({ calledHere }) => !calledHere);
      if (holder !== undefined && other !== undefined) ours.push(other.at - holder.answeredAt);
      const heard = two!.call('hear');
      const sentAt = await one!.call('publish');
      floors.push((await heard) - sentAt);
    }
    context.progress('re-authentication: from commit to use');
    return [
      {
        what: 'answer of the provider to new credentials in use in another process, p50',
        value: median(ours),
        unit: 'µs',
        floor: median(floors),
      },
    ];
  });
}

function callsPerExpiry(context: BenchContext, count: number): Promise<readonly Finding[]> {
  return stage(context, count, { lifetimeMs: LIFETIME_MS }, async (instances) => {
    await Promise.all(instances.map((instance) => instance.call('ask')));
    await delay((context.quick ? 5 : 20) * LIFETIME_MS);
    const { calls, saves } = await instances[0]!.call('counted');
    const processes = count === 1 ? '1 process' : `${count} processes`;
    context.progress(`re-authentication: ${processes}`);
    return [
      {
        what: `calls of the provider per new credential, ${processes}, ${saves} in a row`,
        value: calls / saves,
        unit: 'count',
        goal: { of: 'value', most: 1, exact: true },
      },
    ];
  });
}

/** One process dies while it holds the lease; the other one waits for the same credentials. */
async function takeover({
  library,
  quick,
  startRedis,
  progress,
}: BenchContext): Promise<readonly Finding[]> {
  const took: number[] = [];
  for (let round = 0; round < (quick ? 3 : 9); round += 1) {
    await using server = await startRedis();
    await using workers = new Workers(library);
    const [victim, survivor]: [Authenticator, Authenticator] = [
      await workers.start('authenticator'),
      await workers.start('authenticator'),
    ];
    const place = { ...PLACE, url: server.url };
    await victim.call('open', { ...place, first: 'die' });
    await survivor.call('open', place);
    await victim.call('ask').catch(() => undefined);
    await survivor.call('ask');
    took.push((await survivor.call('takeover')) / 1_000);
  }
  progress('re-authentication: takeover');
  return [
    {
      what: `takeover after kill -9, longest of ${took.length}, with a lease of ${LEASE_MS} ms`,
      value: Math.max(...took),
      unit: 'ms',
      goal: { of: 'value', most: TAKEOVER_MS, because: 'lease and spread' },
    },
  ];
}

async function hotPath({ library, quick, progress }: BenchContext): Promise<readonly Finding[]> {
  const reads = quick ? 200_000 : 2_000_000;
  await using workers = new Workers(library);
  const instance: Authenticator = await workers.start('authenticator');
  const ours: number[] = [];
  const floors: number[] = [];
  for (let run = 0; run < 9; run += 1) {
    ours.push(await instance.call('hot', { how: 'credentials', reads }));
    floors.push(await instance.call('hot', { how: 'promise', reads }));
  }
  progress('re-authentication: hot path');
  return [
    {
      what: '`await auth.credentials()` when nothing is due',
      value: median(ours),
      unit: 'ns',
      floor: median(floors),
      goal: { of: 'value', most: HOT_NS },
    },
  ];
}

export const reauthentication: Bench = {
  name: 'reauthentication',
  question: 'What does it take to replace a credential once for all processes?',
  run: async (context) => [
    ...(await hotPath(context)),
    ...(await commitToUse(context)),
    ...(await callsPerExpiry(context, 1)),
    ...(await callsPerExpiry(context, 4)),
    ...(await callsPerExpiry(context, 16)),
    ...(await takeover(context)),
  ],
};
