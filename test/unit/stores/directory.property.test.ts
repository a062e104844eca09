import fc from 'fast-check';
import { expect, it } from 'vitest';

import {
  type ObservableCredentialStore,
  type CredentialChange,
  CredentialMemory,
  MemoryCredentialDirectory,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

interface Token {
  readonly token: string;
}

const IDS = ['a', 'b', 'c', 'd'];

type Step =
  | { readonly do: 'set' | 'save'; readonly id: string; readonly ttlMs: number | undefined }
  | {
      readonly do: 'garbage' | 'delete' | 'evict' | 'clear' | 'open' | 'close';
      readonly id: string;
    }
  | { readonly do: 'flush' | 'disconnect' | 'reconnect' | 'settle' }
  | { readonly do: 'wait'; readonly ms: number };

const id = fc.constantFrom(...IDS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('set' as const, 'save' as const),
      id,
      ttlMs: fc.option(fc.constantFrom(5, 50, 10_000), { nil: undefined }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'garbage' as const,
        'delete' as const,
        'evict' as const,
        'clear' as const,
        'open' as const,
        'close' as const,
      ),
      id,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'flush' as const,
        'disconnect' as const,
        'reconnect' as const,
        'settle' as const,
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }) },
);

/** What the changes of an id say that it holds. */
function after(change: CredentialChange<Token>): string {
  if ('snapshot' in change) return change.credentials.token;
  if (change.type === 'unreadable') return 'garbage';
  // Its bytes may still be there, and be removed.
  return change.type === 'expired' ? 'ended' : 'nothing';
}

it('a directory emits the changes of every id, in order and once, after any calls and with any watchers', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = new VirtualClock();
      const memory = new CredentialMemory({ clock });
      const open = new Map<string, ObservableCredentialStore<Token>>();
      const directory = new MemoryCredentialDirectory<Token>({
        prefix: 'app:',
        memory: memory,
        onCallbackError: () => undefined,
      });
      let writes = 0;
      const next = (): string => JSON.stringify({ token: `t${String((writes += 1))}` });
      for (const one of IDS.slice(0, 2)) memory.set(`app:${one}`, next());
      const emitted = new Map<string, string>([
        ['a', 't1'],
        ['b', 't2'],
      ]);
      const problems: string[] = [];
      directory.changes$.subscribe((change) => {
        const before = emitted.get(change.id) ?? 'nothing';
        const now = after(change);
        if (before === now && change.type !== 'renewed' && now !== 'garbage')
          problems.push(`${change.id} was ${before} and is told to be ${now} (${change.type})`);
        if (
          now.startsWith('t') &&
          before.startsWith('t') &&
          Number(now.slice(1)) < Number(before.slice(1))
        )
          problems.push(`${change.id} goes back from ${before} to ${now}`);
        emitted.set(change.id, now);
      });
      await directory.ready();
      for (const one of steps) {
        if (one.do === 'set')
          memory.set(`app:${one.id}`, next(), one.ttlMs === undefined ? {} : { ttlMs: one.ttlMs });
        else if (one.do === 'save')
          await directory.save(one.id, JSON.parse(next()) as Token).catch(() => undefined);
        else if (one.do === 'garbage') memory.set(`app:${one.id}`, 'garbage');
        else if (one.do === 'delete') memory.delete(`app:${one.id}`);
        else if (one.do === 'evict') memory.evict(`app:${one.id}`);
        else if (one.do === 'clear') void directory.clear(one.id).catch(() => undefined);
        else if (one.do === 'open') {
          if (open.has(one.id)) continue;
          const store = directory.store(one.id);
          open.set(one.id, store);
          store.on('change', () => undefined);
        } else if (one.do === 'close') {
          void open.get(one.id)?.close();
          open.delete(one.id);
        } else if (one.do === 'wait') await clock.advance(one.ms);
        else if (one.do === 'settle') await clock.settle();
        else memory[one.do]();
      }
      memory.reconnect();
      await clock.settle();
      await clock.advance(2_000);
      for (const one of IDS) {
        const bytes = memory.get(`app:${one}`)?.toString();
        const stored =
          bytes === undefined
            ? 'nothing'
            : bytes === 'garbage'
              ? bytes
              : (JSON.parse(bytes) as Token).token;
        const seen = emitted.get(one) ?? 'nothing';
        expect(`${one} ${seen === 'ended' ? 'nothing' : seen}`).toBe(`${one} ${stored}`);
        const store = open.get(one);
        if (store !== undefined)
          expect(store.current?.credentials.token).toBe(
            stored.startsWith('t') ? stored : undefined,
          );
      }
      expect(problems).toEqual([]);
      expect(directory.status.link).toBe('live');
      await directory.close();
      await clock.settle();
      expect(clock.pendingTimers).toBe(0);
    }),
    { numRuns: 300 },
  );
});

interface Labeled {
  /** Whether a store is opened or closed in the turn of the act. */
  readonly with: 'open' | 'close' | 'nothing';
  readonly act: 'set' | 'save' | 'clear' | 'delete' | 'evict' | 'end';
  readonly id: string;
  readonly reason: string | undefined;
  /** In how many milliseconds credentials that are written end, by their own account. */
  readonly endMs: number | undefined;
}

const labeled: fc.Arbitrary<Labeled> = fc.record({
  with: fc.constantFrom('open', 'close', 'nothing'),
  act: fc.constantFrom('set', 'set', 'save', 'save', 'clear', 'delete', 'evict', 'end'),
  id: fc.constantFrom('a', 'b'),
  reason: fc.constantFrom(undefined, 'logout', 'rotation'),
  endMs: fc.constantFrom(undefined, 500, 1_000),
});

it('a directory labels every change and tells its logical end while stores open and close the id', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(labeled, { maxLength: 40 }), async (steps) => {
      const clock = new VirtualClock();
      const memory = new CredentialMemory({ clock });
      const ends = new Map<string, number>();
      const open = new Map<string, () => void>();
      const make = () =>
        new MemoryCredentialDirectory<Token>({
          prefix: 'app:',
          memory,
          expiresAt: ({ token }) => ends.get(token),
        });
      const directory = make();
      const other = make();
      const emitted: unknown[] = [];
      directory.changes$.subscribe((change) => {
        const { id: of, type, origin, source } = change;
        const end = 'expiresAt' in change ? change.expiresAt : undefined;
        const why = 'reason' in change ? change.reason : undefined;
        const by = typeof origin === 'string' ? origin : 'other';
        emitted.push([of, type, by, why, end, source]);
      });
      await directory.ready();
      const valid = new Map<string, number | undefined>();
      let writes = 0;
      for (const { act, id: of, reason, endMs, ...one } of steps) {
        const end = valid.get(of);
        const isThere = memory.get(`app:${of}`) !== undefined;
        emitted.length = 0;
        const expected: unknown[] = [];
        const expect1 = (type: string, by: string, why?: string, at?: number): void => {
          expected.push([of, type, by, why, at, 'live']);
        };
        if (act === 'set' || act === 'save') {
          const token = `t${String((writes += 1))}`;
          const at = endMs === undefined ? undefined : Math.floor(clock.now()) + endMs;
          if (at !== undefined) ends.set(token, at);
          valid.set(of, at);
          if (act === 'set') memory.set(`app:${of}`, JSON.stringify({ token }));
          else void other.save(of, { token }, { reason, ttlSeconds: 'none' });
          if (act === 'set') expect1('saved', 'out-of-band', undefined, at);
          else expect1('saved', 'other', reason, at);
        } else if (act === 'end') {
          if (end === undefined) continue;
          expect1('expired', 'unknown', undefined, end);
        } else {
          if (act === 'clear') void other.clear(of, { reason });
          else memory[act](`app:${of}`);
          if (isThere && act === 'clear') expect1('cleared', 'other', reason);
          else if (isThere && act === 'delete') expect1('cleared', 'out-of-band');
          else if (isThere) expect1('evicted', 'unknown');
        }
        if (one.with === 'open' && !open.has(of)) {
          const store = directory.store(of);
          store.changes$.subscribe();
          open.set(of, () => void store.close());
        } else if (one.with === 'close') {
          open.get(of)?.();
          open.delete(of);
        }
        if (act === 'end') await clock.advance((end ?? 0) - clock.now() + 2);
        else await clock.settle();
        if (act !== 'set' && act !== 'save') valid.delete(of);
        expect(emitted.filter((change) => (change as [string])[0] === of)).toEqual(expected);
        // The other id may have ended meanwhile.
        for (const [each, at] of valid)
          if (at !== undefined && at < clock.now()) valid.delete(each);
      }
      await Promise.all([directory.close(), other.close()]);
    }),
    { numRuns: 300 },
  );
});
