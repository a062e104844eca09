import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import { RefusedError, UnavailableError } from '../../../src/errors.js';
import type { Returned } from '../../../src/redis/commands/writes/end-clears.js';
import { ClearEnds } from '../../../src/redis/servers/clear-ends.js';

/** The keys that were sent, in batches; `fails` gives the failure of a batch. */
function world(
  inCluster: boolean,
  fails: (first: string) => Error | undefined,
): { ends: ClearEnds; clock: VirtualClock; batches: (readonly Returned[])[] } {
  const clock = new VirtualClock();
  const batches: (readonly Returned[])[] = [];
  const endClears = (keys: readonly Returned[]): Promise<void> => {
    batches.push(keys);
    const failure = fails(keys[0]?.[0] ?? '');
    return failure === undefined ? Promise.resolve() : Promise.reject(failure);
  };
  const servers = {
    withSession: (_key: string, use: (session: never) => Promise<unknown>) =>
      use({ writer: { endClears } } as never),
  } as unknown as ConstructorParameters<typeof ClearEnds>[0];
  return { ends: new ClearEnds(servers, clock, inCluster), clock, batches };
}

async function add(
  { ends, clock }: ReturnType<typeof world>,
  keys: readonly string[],
): Promise<void> {
  const done = Promise.all(keys.map((key) => ends.add(key, 1)));
  await clock.settle();
  await done;
}

const many = (tag: string, count: number): string[] =>
  Array.from({ length: count }, (_, nth) => `{${tag}}:${String(nth)}`);

it('a server that is away holds up no keys of others, and is not asked for each batch', async () => {
  const one = world(true, (key) =>
    key.startsWith('{away}') ? new UnavailableError('away') : undefined,
  );
  await add(one, [...many('away', 350), ...many('there', 150)]);
  const sent = one.batches.flat().map(([key]) => key);
  expect(sent.filter((key) => key.startsWith('{there}'))).toEqual(many('there', 150));
  expect(sent.filter((key) => key.startsWith('{away}'))).toHaveLength(100);
});

it('a refusal of some keys holds up no others', async () => {
  const one = world(false, () => new RefusedError('NOPERM', 'refused'));
  await add(one, many('a', 250));
  expect(one.batches.flat().map(([key]) => key)).toEqual(many('a', 250));
});

it('the only server is not asked again while it is away, and is for the next keys', async () => {
  let isAway = true;
  const one = world(false, () => (isAway ? new UnavailableError('away') : undefined));
  await add(one, many('a', 250));
  expect(one.batches).toHaveLength(1);
  isAway = false;
  await add(one, ['b']);
  expect(one.batches.at(-1)).toEqual([['b', 1]]);
});
