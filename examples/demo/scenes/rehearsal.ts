import { monotonicMs } from '../monotonic-clock.js';
import type { DemoInstance } from '../instances/demo-instance.js';
import { DemoFailure, messageOf } from './demo-failure.js';
import type { Stage } from '../stage/stage.js';

/** The median latency of its saves on every instance. */
export interface Rehearsal {
  readonly saves: number;
  readonly medianMs: Readonly<Record<string, number>>;
}

const MOST_SAVES = 150;
/** Where nobody may announce a write every one of them waits for a poll. */
const LONGEST_MS = 2_000;
const PATIENCE_MS = 20_000;

/**
 * Saves a dummy many times before the first scene: a process that has just started runs code that is not compiled yet, and what counts
 * is how fast one is that has been running for a while. A single latency may be unlucky, so this also gives medians.
 */
export async function rehearse({ store, instances }: Stage): Promise<Rehearsal> {
  const latencies = new Map<string, number[]>(instances.map(({ name }) => [name, []]));
  const startedAtMs = monotonicMs();
  let saves = 0;
  while (saves < MOST_SAVES && monotonicMs() - startedAtMs < LONGEST_MS) {
    saves += 1;
    const issuedAtMs = monotonicMs();
    const [, ...told] = await Promise.all([
      store.save({ accessToken: `dummy ${saves}` }),
      ...instances.map(toldAt),
    ]);
    instances.forEach(({ name }, index) => latencies.get(name)!.push(told[index]! - issuedAtMs));
  }
  await Promise.all([store.clear(), ...instances.map(toldAt)]);
  const medians = Array.from(latencies, ([name, ms]) => [name, median(ms)] as const);
  return { saves, medianMs: Object.fromEntries(medians) };
}

async function toldAt(instance: DemoInstance): Promise<number> {
  try {
    const { toldAtMs } = await instance.next(PATIENCE_MS);
    return toldAtMs;
  } catch (error) {
    throw new DemoFailure(`${instance.name} missed a write of the rehearsal: ${messageOf(error)}`);
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
