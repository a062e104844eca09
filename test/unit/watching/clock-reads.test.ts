import { expect, it, vi } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { CredentialMemory, MemoryCredentialStore } from '../../../src/index.js';

it('a read from memory reads each clock once', async () => {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  await using store = new MemoryCredentialStore<string>({ key: 'a', ttlSeconds: 60, memory });
  const ready = store.ready();
  await clock.advance(10);
  await ready;
  const saving = store.save('one');
  await clock.advance(10);
  await saving;
  const reads = [vi.spyOn(clock, 'monotonic'), vi.spyOn(clock, 'now')];
  expect(store.current?.credentials).toBe('one');
  expect(reads.map(({ mock }) => mock.calls.length)).toEqual([1, 1]);
});
