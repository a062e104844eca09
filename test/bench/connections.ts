import { setTimeout as delay } from 'node:timers/promises';

import { recordMonitor } from '../support/command-counter.js';
import { connect, disconnect } from '../support/redis-clients.js';
import type { RedisServer } from '../support/redis-server/index.js';
import type { Bench, BenchContext, Finding } from './bench.js';
import { Workers } from './worker.js';
import type { IdlerCalls } from './workers/idler.js';

const HEARTBEAT_MS = 200;

/** Connections with the name of ours. */
export async function countConnections({ url }: Pick<RedisServer, 'url'>): Promise<number> {
  const redis = connect(url);
  try {
    const list = String(await redis.client('LIST'));
    return list.split('\n').filter((line) => line.includes(' name=credstream:')).length;
  } finally {
    await disconnect(redis);
  }
}

/** Commands that came over connections, not from scripts, per heartbeat interval. */
async function countCommands(server: RedisServer, intervals: number): Promise<number> {
  const recording = await recordMonitor(server);
  // What opening has set off.
  await delay(2 * HEARTBEAT_MS);
  await recording.flush();
  const before = recording.lines.length;
  await delay(intervals * HEARTBEAT_MS);
  const lines = (await recording.stop()).slice(before);
  return lines.filter(({ source }) => source !== 'lua').length / intervals;
}

async function idle(
  { library, quick, startRedis, progress }: BenchContext,
  count: number,
): Promise<readonly Finding[]> {
  await using server = await startRedis();
  await using workers = new Workers(library);
  const idler = await workers.start<IdlerCalls>('idler');
  await idler.call('open', { url: server.url, count, heartbeatMs: HEARTBEAT_MS });
  const connections = await countConnections(server);
  const commands = await countCommands(server, quick ? 20 : 100);
  const stores = count === 1 ? '1 store' : `${count.toLocaleString('en-US')} stores`;
  progress(`connections: ${stores}`);
  return [
    {
      what: `connections beside the caller's, ${stores}`,
      value: connections,
      unit: 'count',
      goal: { of: 'value', most: 2 },
    },
    {
      what: `commands per heartbeat interval when idle, ${stores}`,
      // An interval may begin or end just inside of what was recorded.
      value: Math.round(commands * 10) / 10,
      unit: 'count',
      goal: { of: 'value', most: 1 },
    },
  ];
}

export const connections: Bench = {
  name: 'connections',
  question: 'What do idle stores ask of the server?',
  run: async (context) => [...(await idle(context, 1)), ...(await idle(context, 1_000))],
};
