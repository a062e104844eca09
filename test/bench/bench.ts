import type { RedisProvider, RedisServer } from '../support/redis-server/index.js';
import type { LibraryBuild } from './library-build.js';

export type Unit = 'µs' | 'ms' | 'ns' | 'bytes' | 'count';

/** What must hold: the value itself, or how often it holds the floor, is at most `most`, or exactly it. */
export interface Goal {
  readonly of: 'value' | 'ratio';
  readonly most: number;
  readonly exact?: boolean;
  /** How `most` came about, when it is not a constant. */
  readonly because?: string;
}

/** One line of the table. */
export interface Finding {
  readonly what: string;
  readonly value: number;
  readonly unit: Unit;
  /** What the machine takes for the same without a store, in the same unit. */
  readonly floor?: number;
  /** The median over pairs of runs, where there are pairs; else that of the two values. */
  readonly ratio?: number;
  readonly goal?: Goal;
}

/** What a benchmark runs in. */
export interface BenchContext {
  readonly library: LibraryBuild;
  /** Fewer and shorter runs, to try something out. */
  readonly quick: boolean;
  /** A server that nobody else uses; whoever starts it stops it. */
  startRedis(): Promise<RedisServer>;
  /** For whoever waits. */
  progress(line: string): void;
}

/** One question, answered by findings. */
export interface Bench {
  readonly name: string;
  readonly question: string;
  run(context: BenchContext): Promise<readonly Finding[]>;
}

/** What the store needs of Redis and no more. */
export const NOTIFICATIONS = { 'notify-keyspace-events': 'Kg$xe' };

export function redisStarter(provider: RedisProvider): BenchContext['startRedis'] {
  return () => provider.start({ config: NOTIFICATIONS });
}

export function ratioOf({ value, floor, ratio }: Finding): number | undefined {
  return ratio ?? (floor === undefined ? undefined : value / floor);
}

/** Undefined for what is told without a goal. */
export function isMet(finding: Finding): boolean | undefined {
  const { goal } = finding;
  if (goal === undefined) return undefined;
  const judged = goal.of === 'value' ? finding.value : (ratioOf(finding) ?? NaN);
  return goal.exact ? judged === goal.most : judged <= goal.most;
}
