import fc from 'fast-check';
import { expect, it } from 'vitest';

import { type CredentialChange, CredentialMemory, MemoryCredentialDirectory } from 'credstream';
import { VirtualClock } from 'credstream/testing';

interface Value {
  readonly v: number;
}

type Step =
  | { readonly do: 'set'; readonly endMs: number | undefined; readonly ttlMs: number | undefined }
  | { readonly do: 'save' | 'clear'; readonly reason: string | undefined }
  | { readonly do: 'garbage' | 'delete' | 'evict' | 'open' | 'close' | 'gap' | 'turn' }
  | { readonly do: 'expire'; readonly ttlMs: number | undefined }
  | { readonly do: 'wait' | 'cut'; readonly ms: number };

const ttlMs = fc.option(fc.integer({ min: 30, max: 140 }), { nil: undefined });
const endMs = fc.option(fc.constantFrom(-1_000, 30, 70, 110, 300), { nil: undefined });
const reason = fc.constantFrom(undefined, 'logout', 'rotation');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('set' as const), endMs, ttlMs }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('save' as const, 'clear' as const), reason }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const), ttlMs }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'garbage' as const,
        'delete' as const,
        'evict' as const,
        'open' as const,
        'open' as const,
        'close' as const,
        'close' as const,
        'gap' as const,
        'turn' as const,
        'turn' as const,
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom('wait' as const, 'cut' as const), ms: fc.nat(60) }),
  },
);

const WRITES: ReadonlySet<Step['do']> = new Set([
  'set',
  'garbage',
  'delete',
  'evict',
  'expire',
] as const);

/** All that a change says, but for the value before, which is held only where a store watches. */
function say(change: CredentialChange<Value>): string {
  const { type, source, origin, at } = change;
  const value = 'snapshot' in change ? String(change.credentials.v) : '';
  const end = 'expiresAt' in change ? String(change.expiresAt) : '';
  const why = 'reason' in change ? String(change.reason) : '';
  return [type, value, end, source, JSON.stringify(origin), why, at].join(' ');
}

/** A directory whose stores come and go, beside one that only listens; gives what each told of the one id. */
async function emitted(steps: readonly Step[]) {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock, random: () => 0.5 });
  const ends = new Map<number, number>();
  const make = () =>
    new MemoryCredentialDirectory<Value>({
      prefix: 'p:',
      memory,
      expiresAt: ({ v }) => ends.get(v),
      onCallbackError: () => undefined,
    });
  const directories = [make(), make()] as const;
  const other = make();
  const logs = directories.map((directory) => {
    const log: string[] = [];
    directory.changes$.subscribe((change) => log.push(say(change)));
    return log;
  });
  await clock.advance(50);
  let close: (() => void) | undefined;
  let writes = 0;
  let underWay = false;
  for (const one of steps) {
    // Of two writes under way at one time, a reading in between shows the first, and one reading more may come in between.
    const isAsync = one.do === 'save' || one.do === 'clear';
    if (isAsync || (underWay && WRITES.has(one.do))) await clock.settle();
    underWay = isAsync || (underWay && !WRITES.has(one.do) && one.do !== 'wait');
    if (one.do === 'set') {
      writes += 1;
      if (one.endMs !== undefined) ends.set(writes, clock.now() + one.endMs);
      const options = one.ttlMs === undefined ? {} : { ttlMs: one.ttlMs };
      memory.set('p:k', JSON.stringify({ v: writes }), options);
    } else if (one.do === 'save') {
      writes += 1;
      void other.save('k', { v: writes }, { reason: one.reason }).catch(() => undefined);
    } else if (one.do === 'clear')
      void other.clear('k', { reason: one.reason }).catch(() => undefined);
    else if (one.do === 'garbage') memory.set('p:k', 'garbage');
    else if (one.do === 'delete' || one.do === 'evict') memory[one.do]('p:k');
    else if (one.do === 'expire') memory.expire('p:k', one.ttlMs);
    else if (one.do === 'open') {
      if (close !== undefined) continue;
      const store = directories[0].store('k');
      store.changes$.subscribe();
      close = () => void store.close();
    } else if (one.do === 'close') {
      close?.();
      close = undefined;
    } else if (one.do === 'turn') await Promise.resolve();
    else if (one.do === 'wait') await clock.advance(one.ms);
    else {
      memory.disconnect();
      await clock.advance(one.do === 'cut' ? one.ms : 20);
      memory.reconnect();
    }
  }
  await clock.advance(500);
  const links = directories.map(({ status }) => status.link);
  await Promise.all([...directories, other].map((directory) => directory.close()));
  await clock.settle();
  return { opened: logs[0], listens: logs[1], links, pendingTimers: clock.pendingTimers };
}

it('a directory emits the same changes of an id, labels and ends included, whether or not stores open it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { opened, listens, links, pendingTimers } = await emitted(steps);
      expect(opened).toEqual(listens);
      expect(links).toEqual(['live', 'live']);
      expect(pendingTimers).toBe(0);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 200) },
  );
}, 600_000);
