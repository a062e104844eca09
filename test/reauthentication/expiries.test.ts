import { expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { useCluster } from './support/cluster.js';

const cluster = useCluster();

const EXPIRIES = 50;
/** The provider counts in whole seconds, so its tokens of two last for one at least. The application takes them for 0.8. */
const TOKEN_SECONDS = 2;
const MARGIN_MS = 1_200;
/** A quarter of that. */
const MIN_VALIDITY_MS = 200;
/** An answer is judged a moment before whoever asked can look at a clock. */
const MOMENT_MS = 5;

it('fifty expiries in a row cost fifty refreshes while every process asks all the time', async () => {
  const { provider } = cluster;
  await provider.behave('normal', { tokenSeconds: TOKEN_SECONDS, shortLived: EXPIRIES });
  const scene = await cluster.play(800, { marginMs: MARGIN_MS });
  const { instances } = scene;
  for (const instance of instances)
    await instance.call({ does: 'ask', minValidityMs: MIN_VALIDITY_MS });
  await eventually(
    async () => expect((await provider.report()).calls.length).toBeGreaterThanOrEqual(EXPIRIES),
    { timeoutMs: 60_000 },
  );
  await eventually(async () =>
    expect((await scene.stored())!.expiresAt).toBeGreaterThan(Date.now() + 60_000),
  );
  const last = (await scene.stored())!.accessToken;
  await scene.agree(last);
  const asked = await Promise.all(
    instances.map((instance) => instance.call({ does: 'stop-asking' })),
  );

  const { calls, revoked } = await provider.report();
  expect(calls.map(({ outcome }) => outcome)).toEqual(Array(EXPIRIES).fill('granted'));
  expect(revoked).toBe(0);
  for (const { asks, spareMs, tokens, errors, refused } of asked) {
    expect(errors).toEqual([]);
    expect(refused).toEqual([]);
    expect(spareMs).toBeGreaterThan(-MOMENT_MS);
    // Nobody got a token again after a newer one.
    expect(new Set(tokens).size).toBe(tokens.length);
    expect(tokens.length).toBeGreaterThan(EXPIRIES / 2);
    expect(tokens.at(-1)).toBe(last);
    expect(asks).toBeGreaterThan(EXPIRIES * 5);
  }
  const views = await Promise.all(instances.map((instance) => instance.view()));
  const total = (name: 'calls' | 'committed'): number =>
    views.reduce((sum, { counts }) => sum + counts[name], 0);
  expect([total('calls'), total('committed')]).toEqual([EXPIRIES, EXPIRIES]);
});
