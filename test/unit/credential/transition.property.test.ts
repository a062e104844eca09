import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { withdrawalOf } from '../../../src/credential/snapshot.js';
import { withdrawalBy } from '../../../src/credential/change.js';
import {
  hasEnded,
  type Known,
  type Labels,
  type DecodedReading,
  type Step,
} from '../../../src/credential/state.js';
import { concludeExpiry, transition } from '../../../src/credential/transition.js';
import {
  absent,
  circumstances,
  heldIn,
  NO_LABELS,
  nothing,
  NOW,
  readable,
  removed,
  type Token,
  unreadable,
  written,
} from './transition-world.js';

/** One read of a key, or the conclusion that stands in for it while there is no link. */
interface Read {
  readonly afterMs: number;
  readonly reading: DecodedReading<Token> | 'cut off';
  readonly labels: Labels;
}

interface Emission extends Step<Token> {
  readonly read: Read;
  readonly now: number;
  readonly before: Known<Token>;
}

const labels = fc.constantFrom(
  NO_LABELS,
  NO_LABELS,
  written,
  removed('cleared'),
  removed('evicted'),
  removed('expired'),
);

/** Ends lie where the reads do, so that they are before, at and after them. */
const end = fc.option(
  fc.integer({ min: -5, max: 60 }).map((ms) => NOW + ms),
  { nil: undefined },
);

const reading = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ token: fc.constantFrom('a', 'b', 'c'), logical: end, ttl: end }),
  },
  { weight: 2, arbitrary: fc.constant('absent' as const) },
  { weight: 1, arbitrary: fc.record({ garbage: fc.constantFrom('x', 'y'), ttl: end }) },
  { weight: 1, arbitrary: fc.constant('cut off' as const) },
);

const reads = fc.array(
  fc
    .record({ afterMs: fc.integer({ min: 0, max: 8 }), what: reading, labels })
    .map(({ what, ...rest }): Read => ({
      ...rest,
      reading: what === 'absent' ? absent : what === 'cut off' ? what : readingOf(what),
    })),
  { maxLength: 30 },
);

type Bytes =
  | { token: string; logical: number | undefined; ttl: number | undefined }
  | { garbage: string; ttl: number | undefined };

function readingOf(what: Bytes): DecodedReading<Token> {
  const ends = Object.entries(what).filter(([, value]) => typeof value === 'number');
  return 'garbage' in what
    ? unreadable(what.garbage, what.ttl)
    : readable(what.token, Object.fromEntries(ends));
}

function fold(all: readonly Read[], abortOnSaved: boolean): Emission[] {
  let known = nothing;
  let now = NOW;
  return all.map((read) => {
    const before = known;
    now += read.afterMs;
    const when = circumstances({ now, labels: read.labels, abortOnSaved });
    const { state } = before;
    const due = state.type === 'present' && hasEnded(state.snapshot.expiresAt, now);
    const step =
      read.reading !== 'cut off'
        ? transition(before, read.reading, when)
        : due
          ? concludeExpiry(before, { ...when, source: 'local' })
          : { known: before };
    known = step.known;
    return { ...step, read, now, before };
  });
}

function holds(check: (emitted: readonly Emission[]) => void): void {
  fc.assert(
    fc.property(reads, fc.boolean(), (all, abortOnSaved) => {
      check(fold(all, abortOnSaved));
    }),
    { numRuns: 500 },
  );
}

describe('after any sequence of readings', () => {
  it('the state is the last reading', () => {
    holds((emitted) => {
      for (const { read, now, known, before } of emitted) {
        const { state } = known;
        if (read.reading === 'cut off') continue;
        switch (read.reading.type) {
          case 'absent':
            // An expired credential stays one when its bytes go.
            if (state.type === 'expired') expect(heldIn(known)).toBe(heldIn(before));
            else expect(state.type).toBe('absent');
            expect(known.digest).toBeUndefined();
            break;
          case 'unreadable':
            expect(state.type).toBe('unreadable');
            expect(known.digest).toBe(read.reading.digest);
            break;
          case 'readable':
            expect(state.type).toBe(hasEnded(read.reading.end, now) ? 'expired' : 'present');
            expect(heldIn(known)?.credentials).toEqual(read.reading.credentials);
            if (state.type === 'present') expect(state.snapshot.expiresAt).toBe(read.reading.end);
        }
      }
    });
  });

  it('an unknown state is no change', () => {
    holds((emitted) => {
      for (const { before, change } of emitted)
        if (before.state.type === 'unknown') expect(change).toBeUndefined();
    });
  });

  it('an equal reading emits nothing', () => {
    holds((emitted) => {
      for (const { read, now, known } of emitted) {
        if (read.reading === 'cut off') continue;
        const again = transition(known, read.reading, circumstances({ now, labels: read.labels }));
        expect(again.change).toBeUndefined();
        expect(again.known.state).toEqual(known.state);
      }
    });
  });

  it('every change leads from the state before it to another one', () => {
    holds((emitted) => {
      for (const { before, known, change } of emitted) {
        if (change === undefined) continue;
        expect(change.previous).toBe(heldIn(before));
        expect(known.state).not.toBe(before.state);
        if ('snapshot' in change) expect(change.snapshot).toBe(heldIn(known));
      }
    });
  });

  it('every visible state comes with a change, except the first one and an end seen late', () => {
    holds((emitted) => {
      for (const { before, known, change } of emitted) {
        if (change !== undefined || before.state.type === 'unknown') continue;
        const same = before.state.type === known.state.type;
        expect(same || known.state.type === 'expired').toBe(true);
        if (before.state.type === 'present') expect(known.state).toBe(before.state);
      }
    });
  });

  it('the same bytes are never saved twice in a row', () => {
    holds((emitted) => {
      const changes = emitted.flatMap(({ change, known }) =>
        change === undefined ? [] : [{ type: change.type, digest: known.digest }],
      );
      for (const [index, one] of changes.entries()) {
        const next = changes[index + 1];
        if (one.type === 'saved' && next?.type === 'saved')
          expect(next.digest).not.toBe(one.digest);
      }
    });
  });

  it('a credential expires once, and only if it was valid', () => {
    holds((emitted) => {
      let valid = false;
      for (const { before, known, change } of emitted) {
        // Bytes that nobody could read expire too, and nobody held them.
        if (change?.type === 'expired' && before.state.type !== 'unreadable') {
          expect(valid).toBe(true);
          valid = false;
        }
        valid = known.state.type === 'present';
      }
    });
  });

  it('nothing is emitted as expired before its end, unless Redis reported it', () => {
    holds((emitted) => {
      for (const { change, now, read } of emitted) {
        if (change?.type !== 'expired' || read.labels.removal?.type === 'expired') continue;
        expect(change.expiresAt).toBeDefined();
        expect(hasEnded(change.expiresAt, now)).toBe(true);
      }
    });
  });

  it('labels decide the type of a change, not whether there is one', () => {
    fc.assert(
      fc.property(reads, labels, (all, others) => {
        for (const { before, read, now, change } of fold(all, false)) {
          // Whether the bytes of an expired credential ran out or were removed is known from labels alone.
          if (read.reading === 'cut off' || before.state.type === 'expired') continue;
          const when = circumstances({ now, labels: others });
          const other = transition(before, read.reading, when).change;
          expect(other === undefined).toBe(change === undefined);
          expect(other?.previous).toBe(change?.previous);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a valid credential never has an aborted signal', () => {
    fc.assert(
      fc.property(reads, fc.boolean(), (all, abortOnSaved) => {
        for (const { before, known, change } of fold(all, abortOnSaved)) {
          const { state } = before;
          if (change !== undefined && state.type === 'present') {
            const rotated = change.type === 'saved' || change.type === 'renewed';
            const withdrawn = !rotated || (abortOnSaved && change.type === 'saved');
            if (withdrawn) withdrawalOf(state.snapshot)?.withdraw(withdrawalBy(change));
            expect(state.snapshot.signal.aborted).toBe(withdrawn);
          }
          if (known.state.type === 'present')
            expect(known.state.snapshot.signal.aborted).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });
});
