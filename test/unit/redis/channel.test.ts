import { EventEmitter } from 'node:events';

import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';

import { createTraceWarning } from '../../../src/redis/client/tracing.js';
import { CommandChannel } from '../../../src/redis/commands/channel.js';
import { HelperNames } from '../../../src/redis/commands/helper-names.js';
import { systemClock } from '../../../src/time/clock.js';

/** A client whose connection is there at once. */
class QuickClient extends EventEmitter {
  readonly options = {};
  status = 'wait';

  connect(): Promise<void> {
    this.status = 'ready';
    return Promise.resolve();
  }

  disconnect(): void {
    if (this.status === 'end') return;
    this.status = 'end';
    this.emit('end');
  }

  quit(): Promise<void> {
    this.disconnect();
    return Promise.resolve();
  }
}

it('a command channel leaves no connection behind when it is closed while it opens one', async () => {
  const made: number[] = [];
  for (let microtasks = 0; microtasks < 30; microtasks += 1) {
    const opened: QuickClient[] = [];
    const create = (): Redis => {
      const client = new QuickClient();
      opened.push(client);
      return client as unknown as Redis;
    };
    const warnOfTraces = createTraceWarning();
    const options = { clock: systemClock, name: 'test', warnOfTraces, replyTimeoutMs: () => 1_000 };
    const link = new CommandChannel(
      { db: 0, create },
      options,
      new HelperNames('credstream', 'instance'),
    );
    const got = link.get().then(
      () => 'open',
      () => 'closed',
    );
    for (let n = 0; n < microtasks; n += 1) await Promise.resolve();
    await link.close(1_000);
    await got;
    // Closed in the first moments, the channel makes no client at all.
    const left = opened.filter(({ status }) => status !== 'end').length;
    expect({ microtasks, left }).toEqual({ microtasks, left: 0 });
    made.push(opened.length);
  }
  expect(made.at(-1)).toBe(1);
});
