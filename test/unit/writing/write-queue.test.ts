import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { WriteQueue } from '../../../src/writing/write-queue.js';
import { deferred } from '../../support/wait.js';

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('a write queue', () => {
  it('prepares concurrently and sends in call order', async () => {
    const queue = new WriteQueue();
    const slow = deferred<string>();
    const log: string[] = [];
    const send = (prepared: string): Promise<string> => {
      log.push(`send ${prepared}`);
      return Promise.resolve(prepared);
    };
    const first = queue.run(() => {
      log.push('prepare slow');
      return slow.promise;
    }, send);
    const second = queue.run(() => {
      log.push('prepare fast');
      return Promise.resolve('fast');
    }, send);
    await turn();
    expect(log).toEqual(['prepare slow', 'prepare fast']);
    slow.resolve('slow');
    expect(await Promise.all([first, second])).toEqual(['slow', 'fast']);
    expect(log.slice(2)).toEqual(['send slow', 'send fast']);
  });

  it('sends the next write only after the reply to the one before, which may have to be sent in another way', async () => {
    const queue = new WriteQueue();
    const log: string[] = [];
    const answer = deferred<undefined>();
    const first = queue.run(
      () => Promise.resolve(),
      async () => {
        log.push('send first');
        await answer.promise;
        log.push('send first in another way');
      },
    );
    const second = queue.run(
      () => Promise.resolve(),
      () => Promise.resolve(log.push('send second')),
    );
    await turn();
    expect(log).toEqual(['send first']);
    answer.resolve(undefined);
    await Promise.all([first, second]);
    expect(log).toEqual(['send first', 'send first in another way', 'send second']);
  });

  it('sends a write that is prepared at once before it returns, while nothing is under way', async () => {
    const queue = new WriteQueue();
    const log: string[] = [];
    const answer = deferred();
    const run = (name: string): Promise<void> =>
      queue.run(
        () => name,
        (prepared) => {
          log.push(prepared);
          return answer.promise;
        },
      );
    const first = run('first');
    expect(log).toEqual(['first']);
    const second = run('second');
    await turn();
    expect(log).toEqual(['first']);
    answer.resolve();
    await Promise.all([first, second]);
    expect(log).toEqual(['first', 'second']);
    await queue.idle();
    const third = run('third');
    expect(log).toEqual(['first', 'second', 'third']);
    await third;
  });

  it('rejects a write that throws at once, and goes on', async () => {
    const queue = new WriteQueue();
    const failing = new Error('no');
    const fail = (): never => {
      throw failing;
    };
    await expect(queue.run(fail, () => Promise.resolve())).rejects.toBe(failing);
    await expect(queue.run(() => 1, fail)).rejects.toBe(failing);
    expect(
      await queue.run(
        () => 1,
        (one) => Promise.resolve(one),
      ),
    ).toBe(1);
  });

  it('sends a write that another one needs during its preparation before that one', async () => {
    const queue = new WriteQueue();
    const log: string[] = [];
    const send = (name: string): Promise<void> => {
      log.push(name);
      return Promise.resolve();
    };
    let inner: Promise<void> | undefined;
    const outer = queue.run(() => {
      inner = queue.run(() => 'inner', send);
      return 'outer';
    }, send);
    await Promise.all([outer, inner]);
    expect(log).toEqual(['inner', 'outer']);
  });

  it('goes on when preparing or sending one fails', async () => {
    const queue = new WriteQueue();
    const sent: number[] = [];
    const failing = new Error('no');
    const unprepared = queue.run(
      () => Promise.reject(failing),
      () => Promise.resolve(sent.push(1)),
    );
    const unsent = queue.run(
      () => Promise.resolve(),
      () => {
        sent.push(2);
        return Promise.reject(failing);
      },
    );
    const thrown = queue.run(
      () => Promise.resolve(),
      () => {
        throw failing;
      },
    );
    const fine = queue.run(
      () => Promise.resolve(),
      () => Promise.resolve(sent.push(3)),
    );
    await fine;
    for (const one of [unprepared, unsent, thrown]) await expect(one).rejects.toBe(failing);
    expect(sent).toEqual([2, 3]);
  });

  it('is idle when all requested writes have ended, however they did', async () => {
    const queue = new WriteQueue();
    await queue.idle();
    const [fine, failing, later] = [deferred(), deferred(), deferred()];
    const run = (work: Promise<void>): Promise<void> =>
      queue.run(
        () => Promise.resolve(),
        () => work,
      );
    const first = run(fine.promise);
    const second = run(failing.promise);
    let idle = false;
    void queue.idle().then(() => {
      idle = true;
    });
    void run(later.promise);
    fine.resolve();
    await first;
    await turn();
    expect(idle).toBe(false);
    failing.reject(new Error('no'));
    await expect(second).rejects.toThrow('no');
    await turn();
    expect(idle).toBe(true);
    later.resolve();
  });

  it('sends in call order, with any durations and failures', async () => {
    const write = fc.record({ prepares: fc.boolean(), sends: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(write, { minLength: 1, maxLength: 12 }),
        async (scheduler, writes) => {
          const queue = new WriteQueue();
          const sent: number[] = [];
          const outcomes = writes.map(({ prepares, sends }, index) =>
            queue.run(
              async () => {
                await scheduler.schedule(Promise.resolve(), 'prepare');
                if (!prepares) throw new Error('unprepared');
              },
              async () => {
                sent.push(index);
                await scheduler.schedule(Promise.resolve(), 'send');
                if (!sends) throw new Error('unsent');
                return index;
              },
            ),
          );
          await scheduler.waitFor(Promise.allSettled(outcomes));
          await queue.idle();
          expect(sent).toEqual(writes.flatMap(({ prepares }, index) => (prepares ? [index] : [])));
          const results = await Promise.allSettled(outcomes);
          expect(results.map(({ status }) => status === 'fulfilled')).toEqual(
            writes.map(({ prepares, sends }) => prepares && sends),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
