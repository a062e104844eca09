import { expect, it } from 'vitest';

import { AttemptVerbs } from '../../../src/backend/attempt-verbs.js';
import type { AttemptSwap, AttemptView } from '../../../src/backend/attempts.js';

const NAME = { key: 'k', id: 'a' };
const SETTLE = { ...NAME, storedAt: undefined };
const START = {
  ...NAME,
  leaseMs: 1_000,
  minIntervalMs: 10,
  endsAt: undefined,
  clearedBefore: undefined,
};

/** Verbs on a backend that gives these answers, one after the other, and the last one for ever. */
function verbsWith(...answers: readonly (Partial<AttemptView> | 'swapped')[]) {
  const asked: AttemptSwap[] = [];
  const verbs = new AttemptVerbs({
    instance: 'me',
    name: 'host:1',
    swap: async (request) => {
      const answer = answers[Math.min(asked.length, answers.length - 1)]!;
      asked.push(request);
      if (answer === 'swapped') return answer;
      const view = { now: 1, record: undefined, stored: true, conflict: false };
      return {
        ...view,
        clearedAt: undefined,
        clearEnded: false,
        version: String(asked.length),
        ...answer,
      };
    },
  });
  return { verbs, asked };
}

it('a verb reads, decides, and swaps the view that it has read', async () => {
  const { verbs, asked } = verbsWith({}, 'swapped');
  const { type } = await verbs.start(START);
  expect(type).toBe('started');
  expect(asked).toMatchObject([{ key: 'k' }, { key: 'k', change: { version: '1' } }]);
  expect(asked[0]?.change).toBeUndefined();
});

it('a verb that has nothing to change only reads', async () => {
  const { verbs, asked } = verbsWith({});
  await verbs.settle(SETTLE);
  expect(asked).toHaveLength(1);
});

it('a verb decides again on the view that it finds instead', async () => {
  const { verbs, asked } = verbsWith({}, { stored: false, clearedAt: 1 });
  expect(await verbs.start(START)).toEqual({ type: 'cleared' });
  expect(asked).toHaveLength(2);
});

it('a verb ends with an error when the view changes without end', async () => {
  const { verbs, asked } = verbsWith({});
  await expect(verbs.start(START)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('20 times') as unknown,
  });
  expect(asked).toHaveLength(21);
});
