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

/** One look at a key, or the conclusion that stands in for it while there is no link. */
interface Look {
  readonly afterMs: number;
  readonly sighting: DecodedReading<Token> | 'cut off';
  readonly labels: Labels;
}

interface Told extends Step<Token> {
  readonly look: Look;
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

/** Ends lie where the looks do, so that they are before, at and after them. */
const end = fc.option(
  fc.integer({ min: -5, max: 60 }).map((ms) => NOW + ms),
  { nil: undefined },
);

const sighting = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ token: fc.constantFrom('a', 'b', 'c'), logical: end, ttl: end }),
  },
  { weight: 2, arbitrary: fc.constant('absent' as const) },
  { weight: 1, arbitrary: fc.record({ garbage: fc.constantFrom('x', 'y'), ttl: end }) },
  { weight: 1, arbitrary: fc.constant('cut off' as const) },
);

const looks = fc.array(
  fc
    .record({ afterMs: fc.integer({ min: 0, max: 8 }), what: sighting, labels })
    .map(({ what, ...rest }): Look => ({
      ...rest,
      sighting: what === 'absent' ? absent : what === 'cut off' ? what : sightingOf(what),
    })),
  { maxLength: 30 },
);

type Bytes =
  | { token: string; logical: number | undefined; ttl: number | undefined }
  | { garbage: string; ttl: number | undefined };

function sightingOf(what: Bytes): DecodedReading<Token> {
  const ends = Object.entries(what).filter(([, value]) => typeof value === 'number');
  return 'garbage' in what
    ? unreadable(what.garbage, what.ttl)
    : readable(what.token, Object.fromEntries(ends));
}

function fold(all: readonly Look[], abortOnSaved: boolean): Told[] {
  let known = nothing;
  let now = NOW;
  return all.map((look) => {
    const before = known;
    now += look.afterMs;
    const when = circumstances({ now, labels: look.labels, abortOnSaved });
    const { state } = before;
    const due = state.type === 'present' && hasEnded(state.snapshot.expiresAt, now);
    const step =
      look.sighting !== 'cut off'
        ? transition(before, look.sighting, when)
        : due
          ? concludeExpiry(before, { ...when, source: 'local' })
          : { known: before };
    known = step.known;
    return { ...step, look, now, before };
  });
}

function holds(check: (told: readonly Told[]) => void): void {
  fc.assert(
    fc.property(looks, fc.boolean(), (all, abortOnSaved) => {
      check(fold(all, abortOnSaved));
    }),
    { numRuns: 500 },
  );
}

describe('after any sequence of readings', () => {
  it('the state is the last reading', () => {
    holds((told) => {
      for (const { look, now, known, before } of told) {
        const { state } = known;
        if (look.sighting === 'cut off') continue;
        switch (look.sighting.type) {
          case 'absent':
            // An expired credential stays one when its bytes go.
            if (state.type === 'expired') expect(heldIn(known)).toBe(heldIn(before));
            else expect(state.type).toBe('absent');
            expect(known.digest).toBeUndefined();
            break;
          case 'unreadable':
            expect(state.type).toBe('unreadable');
            expect(known.digest).toBe(look.sighting.digest);
            break;
          case 'readable':
            expect(state.type).toBe(hasEnded(look.sighting.end, now) ? 'expired' : 'present');
            expect(heldIn(known)?.credentials).toEqual(look.sighting.credentials);
            if (state.type === 'present') expect(state.snapshot.expiresAt).toBe(look.sighting.end);
        }
      }
    });
  });

  it('an unknown state is no change', () => {
    holds((told) => {
      for (const { before, change } of told)
        if (before.state.type === 'unknown') expect(change).toBeUndefined();
    });
  });

  it('an equal reading emits nothing', () => {
    holds((told) => {
      for (const { look, now, known } of told) {
        if (look.sighting === 'cut off') continue;
        const again = transition(known, look.sighting, circumstances({ now, labels: look.labels }));
        expect(again.change).toBeUndefined();
        expect(again.known.state).toEqual(known.state);
      }
    });
  });

  it('every change leads from the state before it to another one', () => {
    holds((told) => {
      for (const { before, known, change } of told) {
        if (change === undefined) continue;
        expect(change.previous).toBe(heldIn(before));
        expect(known.state).not.toBe(before.state);
        if ('snapshot' in change) expect(change.snapshot).toBe(heldIn(known));
      }
    });
  });

  it('every visible state comes with a change, except the first one and an end seen late', () => {
    holds((told) => {
      for (const { before, known, change } of told) {
        if (change !== undefined || before.state.type === 'unknown') continue;
        const same = before.state.type === known.state.type;
        expect(same || known.state.type === 'expired').toBe(true);
        if (before.state.type === 'present') expect(known.state).toBe(before.state);
      }
    });
  });

  it('the same bytes are never saved twice in a row', () => {
    holds((told) => {
      const changes = told.flatMap(({ change, known }) =>
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
    holds((told) => {
      let valid = false;
      for (const { before, known, change } of told) {
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
    holds((told) => {
      for (const { change, now, look } of told) {
        if (change?.type !== 'expired' || look.labels.removal?.type === 'expired') continue;
        expect(change.expiresAt).toBeDefined();
        expect(hasEnded(change.expiresAt, now)).toBe(true);
      }
    });
  });

  it('labels decide the type of a change, not whether there is one', () => {
    fc.assert(
      fc.property(looks, labels, (all, others) => {
        for (const { before, look, now, change } of fold(all, false)) {
          // Whether the bytes of an expired credential ran out or were removed is known from labels alone.
          if (look.sighting === 'cut off' || before.state.type === 'expired') continue;
          const when = circumstances({ now, labels: others });
          const other = transition(before, look.sighting, when).change;
          expect(other === undefined).toBe(change === undefined);
          expect(other?.previous).toBe(change?.previous);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a valid credential never has an aborted signal', () => {
    fc.assert(
      fc.property(looks, fc.boolean(), (all, abortOnSaved) => {
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
