import { expect, it, onTestFinished, vi } from 'vitest';

import { InvalidOptionError, systemClock, type Clock } from 'credstream';

import { useWorld } from './world.js';

const world = useWorld();

/** The clock of a machine whose wall clock is off; it can be set right. */
function wrongClock(byMs: number): Clock & { byMs: number } {
  return {
    byMs,
    now() {
      return systemClock.now() + this.byMs;
    },
    monotonic: () => systemClock.monotonic(),
    setTimer: (run, delayMs) => systemClock.setTimer(run, delayMs),
    nextTurn: (run) => {
      systemClock.nextTurn(run);
    },
  };
}

it.each([-120_000, 120_000])(
  'the status tells a difference of %d ms, and a warning',
  async (byMs) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => {
      warn.mockRestore();
    });
    const clock = wrongClock(byMs);
    const store = world.store(world.connect(), { clock });
    expect(store.status.clockSkewMs).toBeUndefined();
    await store.ready();
    expect(Math.abs(store.status.clockSkewMs! - byMs)).toBeLessThan(1_000);
    const said = warn.mock.calls.map(([message]) => String(message));
    expect(said.filter((one) => one.includes('the clock of this machine is 120 s'))).toHaveLength(
      1,
    );
    // The wall clock is set right: the estimate follows at once, because the server's clock is carried by the monotonic one.
    clock.byMs = 0;
    expect(Math.abs(store.status.clockSkewMs!)).toBeLessThan(1_000);
  },
);

it('an end made with endsIn is right on a machine with a wrong clock', async () => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  const store = world.store<{ readonly expiresAt: number }>(world.connect(), {
    clock: wrongClock(-7_200_000),
    ttlSeconds: 86_400,
    expiresAt: ({ expiresAt }) => expiresAt,
  });
  const off = (end: number): number => Math.abs(end - (Date.now() + 3_600_000));
  const expiresAt = await store.endsIn(3_600);
  expect(off(expiresAt)).toBeLessThan(5_000);
  await store.ready();
  await store.save({ expiresAt });
  expect(store.current?.expiresAt).toBe(expiresAt);
  const { credentials } = await store.update((_current, { endsIn }) => ({
    expiresAt: endsIn(3_600),
  }));
  expect(off(credentials!.expiresAt)).toBeLessThan(5_000);
  await expect(store.endsIn(Number.NaN)).rejects.toThrow(InvalidOptionError);
});
