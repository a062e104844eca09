import type { ServerTime } from '../../time/server-time.js';

/** From this difference on, ends made from this machine's clock are wrong by a share of many tokens' lives. */
const BEYOND_MS = 5_000;

/** Warns that the clocks of this machine and of Redis differ: once for all servers of a pool, and again only after all of them agreed. */
export class SkewWarning {
  readonly #beyond = new Set<ServerTime>();
  readonly #warn: (message: string) => void;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Called after each sample of the time of a server. */
  judge(time: ServerTime): void {
    const { skewMs } = time;
    if (skewMs === undefined) return;
    const { least, most } = time.skewRange;
    // A slow reply leaves doubt, and doubt neither warns nor ends a warning.
    if (most < BEYOND_MS) this.#beyond.delete(time);
    else if (least > BEYOND_MS && !this.#beyond.has(time)) {
      const isFirst = this.#beyond.size === 0;
      this.#beyond.add(time);
      if (isFirst) this.#warn(messageOf(skewMs));
    }
  }

  /** The server is gone. */
  forget(time: ServerTime): void {
    this.#beyond.delete(time);
  }
}

function messageOf(skewMs: number): string {
  const seconds = String(Math.round(Math.abs(skewMs) / 1_000));
  const side = skewMs > 0 ? 'ahead of' : 'behind';
  return `the clock of this machine is ${seconds} s ${side} that of Redis, by which ends are judged: make ends with endsIn(seconds), or set the clock`;
}

/** The difference of several servers: the one with the largest size, as far as known. */
export function largestSkew(skews: readonly (number | undefined)[]): number | undefined {
  const known = skews.filter((one) => one !== undefined);
  return known.sort((one, other) => Math.abs(other) - Math.abs(one))[0];
}
