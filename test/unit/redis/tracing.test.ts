import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import type { Redis } from 'ioredis';
import { expect, it, onTestFinished, vi } from 'vitest';

import { hideFromTraces } from '../../../src/redis/client/tracing.js';

it('warns once of a client without the methods that hide replies, as soon as somebody listens', () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const ofLaterVersion = (): Redis => ({ status: 'wait' }) as unknown as Redis;
  hideFromTraces(ofLaterVersion());
  expect(warn).not.toHaveBeenCalled();
  const name = 'tracing:ioredis:command:asyncEnd';
  const listener = (): void => undefined;
  subscribe(name, listener);
  onTestFinished(() => {
    unsubscribe(name, listener);
    warn.mockRestore();
  });
  hideFromTraces(ofLaterVersion());
  hideFromTraces(ofLaterVersion());
  expect(warn.mock.calls).toEqual([
    [expect.stringContaining('tracing channels of ioredis'), 'CredstreamWarning'],
  ]);
});
