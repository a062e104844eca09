import { expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import type { AttemptVerbs } from '../../../src/backend/attempt-verbs.js';
import type { RenewOutcome } from '../../../src/backend/attempts.js';
import { Lease } from '../../../src/reauthentication/attempt/lease.js';

const LEASE_MS = 15_000;

/** Lets every reply take a time, in milliseconds; returns the answer of `holds` and the number of requests. */
async function askedWith(delays: readonly number[]): Promise<[holds: boolean, requests: number]> {
  const clock = new VirtualClock();
  let requests = 0;
  const verbs: Pick<AttemptVerbs, 'renew'> = {
    renew: async (): Promise<RenewOutcome> => {
      await clock.advance(delays[requests++] ?? delays.at(-1)!);
      // A loop without a bound would hang the test.
      if (requests > 100) throw new Error('asked without end');
      return 'held';
    },
  };
  const request = {
    key: 'k',
    id: 'a:1',
    leaseMs: LEASE_MS,
    number: 1,
    failures: 0,
    startedFromNothing: false,
  };
  const lease = new Lease(
    clock,
    verbs as AttemptVerbs,
    request,
    clock.monotonic() - LEASE_MS,
    () => undefined,
  );
  return [await lease.holds(), requests];
}

it('a lease whose first replies took longer than the lease is held with the first quick one', async () => {
  expect(await askedWith([LEASE_MS, LEASE_MS + 1, 10])).toEqual([true, 3]);
});

it('a lease is not held when reply after reply takes longer than the lease', async () => {
  expect(await askedWith([LEASE_MS])).toEqual([false, 3]);
});
