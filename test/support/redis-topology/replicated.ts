import type { Redis } from 'ioredis';

import { HANG_MS } from '../inbox.js';
import { eventually } from '../wait.js';

/**
 * Waits until the replicas of a master have all that it has now; others may go on writing. Not by WAIT, which asks about the writes of its own
 * connection only.
 */
export async function untilReplicated(master: Redis, timeoutMs = HANG_MS): Promise<void> {
  const end = /master_repl_offset:(\d+)/.exec(await master.info('replication'))?.[1];
  await eventually(
    async () => {
      const info = await master.info('replication');
      const offsets = Array.from(info.matchAll(/,offset=(\d+),/g), ([, offset]) => offset);
      return offsets.length > 0 && offsets.every((offset) => Number(offset) >= Number(end));
    },
    { timeoutMs },
  );
}
