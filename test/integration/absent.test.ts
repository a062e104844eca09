import { expect, it } from 'vitest';

import { Reauthenticator } from 'credstream';

import { recordMonitor } from '../support/command-counter.js';
import { type Token, useWorld } from './world.js';

const world = useWorld();

it('without a login an absent credential rejects within one round trip, and Redis holds nothing of it', async () => {
  const store = world.store(world.connect());
  const auth = world.track(
    new Reauthenticator<Token>(store, { refresh: ({ previous }) => previous }),
    (one) => one.close(),
  );
  const answerOf = (): Promise<unknown> => auth.credentials().catch((error: unknown) => error);
  await store.ready();
  await store.load();
  const absent = { code: 'REAUTHENTICATION_FAILED', reason: 'absent', id: store.id };
  expect(await answerOf()).toMatchObject(absent);
  const recording = world.track(await recordMonitor(world.server), (one) => one.stop());
  expect(await Promise.all([answerOf(), answerOf()])).toMatchObject([absent, absent]);
  expect(auth.state.type).toBe('absent');
  await recording.flush();
  const helpers = recording.lines.filter(({ args }) =>
    args.some((arg) => arg.startsWith('credstream:attempt:')),
  );
  expect(helpers.filter(({ args }) => /^(set|hset|publish)/i.test(args[0]!))).toEqual([]);
  expect(await world.connect().keys('credstream:attempt:*')).toEqual([]);

  await store.save({ token: 'saved' });
  expect(await answerOf()).toEqual({ token: 'saved' });
  expect(auth.state.type).toBe('idle');
  await store.clear();
  expect(await answerOf()).toMatchObject({ ...absent, reason: 'cleared' });
});
