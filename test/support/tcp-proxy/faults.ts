/** From the Redis client to the server, or back. */
export type Direction = 'toServer' | 'toClient';

/** Where a fault applies. */
export type Directions = Direction | 'both';

/** One connection through the proxy, as predicates and interceptors see it. */
export interface ProxyLink {
  /** Counts from 1 in the order of acceptance. */
  readonly id: number;
  /** The first 4 KiB that the client sent: enough to tell a subscriber from a command connection. */
  readonly sentText: string;
  /** Bytes passed on so far. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Resolves when both sides are gone. */
  readonly closed: Promise<void>;
  /** Resets both sides. */
  cut(): void;
  /** Ends both sides cleanly. */
  end(): void;
}

/** Says whether a fault hits a connection; asked again for every chunk, so it may depend on what was sent since. */
export type Select = (link: ProxyLink) => boolean;

/**
 * Looks at bytes on their way: nothing returned lets them pass, other bytes replace them, `null` swallows them.
 * `afterwards` runs something once they, or what replaced them, have been handed to the other side.
 */
export type Interceptor = (
  chunk: Buffer,
  link: ProxyLink,
  afterwards: (action: () => void) => void,
) => Buffer | string | null | undefined;

/** How bytes are cut into pieces. */
export interface Slicing {
  readonly bytes: number;
  readonly gapMs: number;
}

type Rule<T> = T & { readonly direction: Directions; readonly select: Select };

/** What is wrong with the network right now. Knows nothing of sockets. */
export class Faults {
  #pauses: Rule<object>[] = [];
  #delays: Rule<{ ms: number }>[] = [];
  #slices: Rule<Slicing>[] = [];
  #interceptors: Rule<{ interceptor: Interceptor }>[] = [];

  pause(direction: Directions, select: Select): void {
    this.#pauses.push({ direction, select });
  }

  /** Takes back the pauses of that direction; with `select`, those alone that were made with that very function. */
  resume(direction: Directions, select?: Select): void {
    const ends = (pause: Rule<object>): boolean => select === undefined || pause.select === select;
    this.#pauses = this.#pauses.flatMap((pause) => {
      if (!ends(pause)) return [pause];
      const rest = without(pause.direction, direction);
      return rest === undefined ? [] : [{ ...pause, direction: rest }];
    });
  }

  delay(ms: number, direction: Directions, select: Select): void {
    this.#delays.unshift({ ms, direction, select });
  }

  slice(slicing: Slicing, direction: Directions, select: Select): void {
    this.#slices.unshift({ ...slicing, direction, select });
  }

  intercept(interceptor: Interceptor, direction: Directions, select: Select): () => void {
    const rule = { interceptor, direction, select };
    this.#interceptors.push(rule);
    return () => {
      this.#interceptors = this.#interceptors.filter((other) => other !== rule);
    };
  }

  clear(): void {
    this.#pauses = [];
    this.#delays = [];
    this.#slices = [];
    this.#interceptors = [];
  }

  isPaused(direction: Direction, link: ProxyLink): boolean {
    return this.#pauses.some(applies(direction, link));
  }

  /** Of several that apply the last one made counts, so 0 for all ends every delay. */
  delayMs(direction: Direction, link: ProxyLink): number {
    return this.#delays.find(applies(direction, link))?.ms ?? 0;
  }

  slicing(direction: Direction, link: ProxyLink): Slicing | undefined {
    const found = this.#slices.find(applies(direction, link));
    return found !== undefined && found.bytes > 0 ? found : undefined;
  }

  interceptors(direction: Direction, link: ProxyLink): Interceptor[] {
    return this.#interceptors
      .filter(applies(direction, link))
      .map(({ interceptor }) => interceptor);
  }
}

function applies(direction: Direction, link: ProxyLink) {
  return (rule: Rule<object>): boolean =>
    (rule.direction === 'both' || rule.direction === direction) && rule.select(link);
}

function without(all: Directions, gone: Directions): Directions | undefined {
  if (gone === 'both' || gone === all) return undefined;
  if (all !== 'both') return all;
  return gone === 'toServer' ? 'toClient' : 'toServer';
}
