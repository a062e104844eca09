import { getEventListeners } from 'node:events';

import { describe, expect, it } from 'vitest';

import { combineSignals } from '../../../src/util/combined-signal.js';

const two = (): [AbortController, AbortController] => [
  new AbortController(),
  new AbortController(),
];

describe('a combined signal', () => {
  it.each([0, 1])(
    'aborts with the reason of signal %i, and listens to none after that',
    (which) => {
      const controllers = two();
      const signal = combineSignals(controllers[0].signal, controllers[1].signal);
      expect(signal.aborted).toBe(false);
      controllers[which]!.abort('enough');
      expect([signal.aborted, signal.reason]).toEqual([true, 'enough']);
      for (const one of controllers) expect(getEventListeners(one.signal, 'abort')).toEqual([]);
    },
  );

  it('is aborted at once where one of them is', () => {
    const [open, ended] = two();
    ended.abort('before');
    const signal = combineSignals(open.signal, ended.signal);
    expect([signal.aborted, signal.reason]).toEqual([true, 'before']);
    expect(getEventListeners(open.signal, 'abort')).toEqual([]);
  });
});
