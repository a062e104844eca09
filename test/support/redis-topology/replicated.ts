import type { Redis } from 'ioredis';

import { eventually } from '../wait.js';

/** Waits until the replicas of a master have all that it has. Not by WAIT, which asks about the writes of its own connection only. */
export async function untilReplicated(master: Redis, timeoutMs = 30_000): Promise<void> {
  await eventually(
    async () => {
      const info = await master.info('replication');
      const end = /master_repl_offset:(\d+)/.exec(info)?.[1];
      const offsets = Array.from(info.matchAll(/,offset=(\d+),/g), ([, offset]) => offset);
      return offsets.length > 0 && offsets.every((offset) => Number(offset) >= Number(end));
    },
    { timeoutMs },
  );
}
