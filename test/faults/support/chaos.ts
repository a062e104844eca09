import { setTimeout as pass } from 'node:timers/promises';

import type { Redis } from 'ioredis';

import type { RedisServer } from '../../support/redis-server/index.js';
import type { TcpProxy } from '../../support/tcp-proxy.js';
import { block } from './clock.js';
import { presentLinks } from './faults.js';
import type { Random } from './random.js';

/** What faults are done to. */
export interface Victims {
  readonly server: RedisServer;
  /** Not through a proxy. */
  readonly admin: Redis;
  readonly networks: readonly TcpProxy[];
  readonly random: Random;
  /** What was done, to be read when a seed fails. */
  readonly log: string[];
}

interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Does it and, if it lasts, undoes it. */
  readonly happen: (victims: Victims, network: TcpProxy) => unknown;
}

const FAULTS: readonly Fault[] = [
  { name: 'reset', weight: 4, happen: (_, network) => network.cut() },
  { name: 'end', weight: 2, happen: (_, network) => network.end() },
  {
    name: 'black hole',
    weight: 4,
    happen: async ({ random }, network) => {
      const select = presentLinks(network);
      network.pause(random.pick(['both', 'toClient', 'toServer']), { select });
      // Or for ever: then those who use it must find out by themselves.
      if (random.below(2) === 0) return;
      await pass(100 + random.below(700));
      if (random.below(2) === 0) network.cut({ select });
      network.resume('both', { select });
    },
  },
  {
    name: 'refused',
    weight: 3,
    happen: async ({ random }, network) => {
      network.refuse({ reset: random.below(2) === 0 });
      await pass(100 + random.below(500));
      await network.accept();
    },
  },
  {
    name: 'silence',
    weight: 2,
    happen: async ({ random }, network) => {
      await network.hold();
      network.cut();
      await pass(100 + random.below(400));
      await network.accept();
    },
  },
  {
    name: 'slow',
    weight: 2,
    happen: async ({ random }, network) => {
      network.delay(random.below(60));
      network.slice(1 + random.below(20), 0);
      await pass(300);
      network.delay(0);
      network.slice(0, 0);
    },
  },
  { name: 'flush', weight: 2, happen: ({ admin }) => admin.flushall() },
  {
    name: 'kill subscribers',
    weight: 2,
    happen: ({ admin }) => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
  },
  {
    name: 'hang',
    weight: 1,
    happen: async ({ server, random }) => {
      await server.suspend();
      await pass(100 + random.below(500));
      await server.resume();
    },
  },
  { name: 'empty restart', weight: 1, happen: ({ server }) => server.restart() },
  { name: 'blocked event loop', weight: 1, happen: ({ random }) => block(100 + random.below(400)) },
];

/** One fault after the other, some at the same time, for so long; resolves when all are over. */
export async function wreak(victims: Victims, forMs: number): Promise<void> {
  const { networks, random, log } = victims;
  const lots = FAULTS.flatMap((fault) => Array.from({ length: fault.weight }, () => fault));
  const startedAt = performance.now();
  const busy = new Map<unknown, Promise<unknown>>();
  while (performance.now() - startedAt < forMs) {
    const { name, happen } = random.pick(lots);
    const network = random.pick(networks);
    // One thing at a time is wrong with each, or the undoing of one would undo the other.
    const victim = name === 'hang' || name === 'empty restart' ? victims.server : network;
    await busy.get(victim);
    log.push(`${Math.round(performance.now() - startedAt)} ${name} ${networks.indexOf(network)}`);
    busy.set(
      victim,
      Promise.resolve(happen(victims, network)).catch(() => {}),
    );
    await pass(random.below(150));
  }
  await Promise.all(busy.values());
}
