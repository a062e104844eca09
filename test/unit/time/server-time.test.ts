import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { ServerTime } from '../../../src/time/server-time.js';

const START = Date.UTC(2040, 0, 1);

/** Milliseconds that the rounding of doubles may take of an epoch. */
const ROUNDING_MS = 0.001;

interface World {
  readonly clock: VirtualClock;
  readonly time: ServerTime;
  /** What the server's clock shows; runs at its own rate and may be set. */
  serverNow(): number;
  /** One question and answer: so long to the server, so long back. */
  ask(thereMs: number, backMs: number): Promise<void>;
  setServer(byMs: number): void;
}

function world(skewMs = 0, rate = 1): World {
  const clock = new VirtualClock({ startAt: START });
  const time = new ServerTime(clock);
  let offset = START + skewMs;
  const serverNow = (): number => offset + clock.monotonic() * rate;
  return {
    clock,
    time,
    serverNow,
    ask: async (thereMs, backMs) => {
      const sentAt = clock.monotonic();
      await clock.advance(thereMs);
      const shown = serverNow();
      await clock.advance(backMs);
      time.sample(shown, sentAt, clock.monotonic());
    },
    setServer: (byMs) => {
      offset += byMs;
    },
  };
}

function expectBounds({ time, serverNow }: World): void {
  expect(time.earliest()).toBeLessThanOrEqual(serverNow() + ROUNDING_MS);
  expect(time.latest()).toBeGreaterThanOrEqual(serverNow() - ROUNDING_MS);
}

describe('the time of a server', () => {
  it('can be anything before the first sample', () => {
    const { time } = world();
    expect([time.earliest(), time.latest()]).toEqual([-Infinity, Infinity]);
    expect(time.verdict(undefined)).toBe('before');
    expect(time.verdict(START)).toBe('passed');
  });

  it('lies between the sending and the receiving of a sample', async () => {
    const { clock, time, ask } = world(5_000);
    await ask(30, 10);
    expect(time.earliest()).toBeCloseTo(START + 5_030, 3);
    expect(time.latest()).toBeCloseTo(START + 5_070, 1);
    await clock.advance(1_000);
    expect(time.earliest()).toBeCloseTo(START + 6_030, 0);
  });

  it('is known as precisely as the fastest round trips showed', async () => {
    const { time, ask } = world();
    await ask(50, 50);
    expect(time.latest() - time.earliest()).toBeGreaterThan(90);
    await ask(1, 1);
    expect(time.latest() - time.earliest()).toBeLessThan(2.1);
    await ask(50, 50);
    expect(time.latest() - time.earliest()).toBeLessThan(2.2);
  });

  it('becomes less certain without samples', async () => {
    const { clock, time, ask } = world();
    await ask(1, 1);
    await clock.advance(10_000_000);
    const width = time.latest() - time.earliest();
    expect(width).toBeGreaterThan(1_000);
    expect(width).toBeLessThan(3_000);
  });

  it('is estimated again when the server was set, forward or back', async () => {
    const server = world();
    await server.ask(1, 1);
    for (const byMs of [-86_400_000, 86_400_000, 3_600_000]) {
      server.setServer(byMs);
      await server.ask(2, 2);
      expectBounds(server);
      expect(server.time.latest() - server.time.earliest()).toBeLessThan(4.1);
    }
  });

  it('always lies between the bounds, whatever the round trips, the skew and the rate', async () => {
    const trip = fc.record({
      waitMs: fc.integer({ min: 0, max: 100_000 }),
      thereMs: fc.double({ min: 0, max: 2_000, noNaN: true }),
      backMs: fc.double({ min: 0, max: 2_000, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(trip, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: -1e9, max: 1e9 }),
        // Quartz is off by a tenth of this.
        fc.double({ min: 1 - 9e-5, max: 1 + 9e-5, noNaN: true }),
        async (trips, skewMs, rate) => {
          const server = world(skewMs, rate);
          for (const { waitMs, thereMs, backMs } of trips) {
            await server.ask(thereMs, backMs);
            expectBounds(server);
            await server.clock.advance(waitMs);
            expectBounds(server);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('calls deadlines never before the server shows their instant, and soon after', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 1 - 9e-5, max: 1 + 9e-5, noNaN: true }),
        fc.integer({ min: 0, max: 500 }),
        fc.integer({ min: 0, max: 500 }),
        fc.integer({ min: 1, max: 100_000 }),
        async (rate, thereMs, backMs, inMs) => {
          const server = world(0, rate);
          await server.ask(thereMs, backMs);
          const instant = server.serverNow() + inMs;
          let calledAt: number | undefined;
          const due = (): void => {
            calledAt = server.serverNow();
          };
          server.time.deadlines.add(instant, Object.assign(due, { due }));
          await server.clock.advance(inMs + thereMs + backMs + 100);
          expect(calledAt).toBeGreaterThanOrEqual(instant - ROUNDING_MS);
          expect(calledAt! - instant).toBeLessThan(thereMs + backMs + 25);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the two clocks of this machine', () => {
  it.each([
    ['the wall clock is set forward', 1_001],
    ['the wall clock is set back', -1_001],
  ])('have come apart when %s', async (_name, ms) => {
    const { clock, time, ask } = world();
    await ask(1, 1);
    expect(time.hasStepped()).toBe(false);
    clock.step(ms);
    expect(time.hasStepped()).toBe(true);
    expect(time.verdict(undefined)).toBe('stepped');
    expect(time.verdict(START + 1e9)).toBe('stepped');
    await ask(1, 1);
    expect(time.hasStepped()).toBe(false);
    expect(time.verdict(START + 1e9)).toBe('before');
  });

  it('have come apart after the machine slept', async () => {
    const { clock, time, ask } = world();
    await ask(1, 1);
    clock.sleep(1_500);
    expect(time.hasStepped()).toBe(true);
  });

  it('may differ by what NTP slews', async () => {
    const { clock, time, ask } = world();
    await ask(1, 1);
    clock.step(900);
    await clock.advance(60_000);
    expect(time.hasStepped()).toBe(false);
  });
});

describe('the verdict on an end', () => {
  it('is given as soon as the server could have reached it, not only for certain', async () => {
    const { clock, time, ask, serverNow } = world();
    await ask(50, 50);
    const end = serverNow() + 1_000;
    await clock.advance(949);
    expect(time.verdict(end)).toBe('before');
    await clock.advance(51);
    expect(time.verdict(end)).toBe('passed');
    expect(time.verdict(undefined)).toBe('before');
  });
});
