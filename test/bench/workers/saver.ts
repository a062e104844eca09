import { setTimeout as delay } from 'node:timers/promises';

import type { Redis } from 'ioredis';

import { connect } from '../../support/redis-clients.js';
import { now } from './instants.js';
import { openStore, type Place, type Token } from './open-store.js';
import { serve } from './serve.js';

export interface Burst {
  /** Numbers count on from here. */
  readonly first: number;
  readonly count: number;
  readonly perSecond: number;
}

let store: ReturnType<typeof openStore> | undefined;
let plain: Redis | undefined;
let place: Place | undefined;

function tokenOf(number: number): Token {
  return { number, accessToken: 'a'.repeat(200), refreshToken: 'r'.repeat(60) };
}

/** Calls `send` at even intervals, whether or not the one before has been answered; gives the instants just before each call. */
async function burst(
  { first, count, perSecond }: Burst,
  send: (number: number) => Promise<unknown>,
): Promise<number[]> {
  const interval = 1e6 / perSecond;
  const sentAt: number[] = [];
  const answers: Promise<unknown>[] = [];
  let dueAt = now();
  for (let nth = 0; nth < count; nth += 1) {
    while (now() < dueAt) await delay((dueAt - now()) / 1_000);
    // Who was kept waiting for longer than an interval does not make up for it by hurrying.
    dueAt = Math.max(dueAt, now() - interval) + interval;
    sentAt.push(now());
    answers.push(send(first + nth));
  }
  await Promise.all(answers);
  return sentAt;
}

const calls = {
  open(where: Place): void {
    place = where;
    store = openStore(place);
    plain = connect(place.url);
  },
  watch: async (): Promise<void> => store!.ready(),
  save: (what: Burst): Promise<number[]> => burst(what, (number) => store!.save(tokenOf(number))),
  /** The least that can be said to another process. */
  publish: (what: Burst): Promise<number[]> =>
    burst(what, (number) => plain!.publish(place!.channel, String(number))),
  /** What programs do by hand: write, and say that there is something to read. */
  byHand: (what: Burst): Promise<number[]> =>
    burst(what, (number) =>
      plain!
        .multi()
        .set(place!.keyByHand, JSON.stringify(tokenOf(number)))
        .publish(place!.channelByHand, 'saved')
        .exec(),
    ),
};
export type SaverCalls = typeof calls;

serve(calls);
